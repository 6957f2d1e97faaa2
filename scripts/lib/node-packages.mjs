import { accessSync, constants, readFileSync } from 'node:fs'
import { inRoot, NODE } from './paths.mjs'
import { run, SetupError, works } from './run.mjs'

/** The work that makes node_modules equal to package-lock.json. Undefined when it is equal. */
export function nodePackages() {
  if (isInstalled()) return undefined
  return async () => {
    if (!(await works('npm', ['--version']))) {
      throw new SetupError('npm is missing. On Debian and Ubuntu: apt-get install npm')
    }
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
    if (!isInstalled()) {
      throw new SetupError(
        'npm ci ended well, but node_modules is not what package-lock.json says. Is install-script running switched off?',
      )
    }
  }
}

/** npm writes what it installed into node_modules/.package-lock.json, at the very end. */
function isInstalled() {
  try {
    const wanted = read('package-lock.json')
    const present = read('node_modules/.package-lock.json')
    for (const [name, { version }] of Object.entries(present))
      if (wanted[name]?.version !== version) return false
    for (const [name, entry] of Object.entries(wanted)) {
      if (name.includes('node_modules/') && !entry.optional && !(name in present)) return false
    }
    // The `node` package fetches its binary in an install script.
    accessSync(NODE, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function read(name) {
  return JSON.parse(readFileSync(inRoot(name), 'utf8')).packages
}
