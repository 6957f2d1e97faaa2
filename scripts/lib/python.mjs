import { existsSync } from 'node:fs'
import path from 'node:path'
import { inRoot, inState } from './paths.mjs'
import { run, SetupError, works } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

const OLDEST = [3, 11]

/**
 * The work that makes `.fp/<name>` a Python environment with exactly the locked packages. Undefined when it is one.
 * `whenMade` is called as soon as pip is there.
 */
export function pythonEnvironment(name, lock, { whenMade = () => {} } = {}) {
  const folder = inState(name)
  const hash = hashOf([lock])
  const stampFile = path.join(folder, '.fp-stamp')
  const python = path.join(folder, 'bin/python')
  if (isStamped(stampFile, hash) && existsSync(python)) {
    whenMade()
    return undefined
  }
  return async () => {
    if (!(await works(python, ['-m', 'pip', '--version']))) await makeEnvironment(folder)
    whenMade()
    await run(python, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--no-input',
      '--require-hashes',
      '-r',
      inRoot(lock),
    ])
    stamp(stampFile, hash)
  }
}

async function makeEnvironment(folder) {
  const system = await systemPython()
  try {
    await run(system, ['-m', 'venv', '--clear', folder])
  } catch (error) {
    const missing = /ensurepip|No module named venv/.test(error.output ?? '')
    if (missing)
      throw new SetupError(
        'Python cannot make environments. On Debian and Ubuntu: apt-get install python3-venv',
      )
    throw error
  }
}

async function systemPython() {
  for (const command of ['python3', 'python3.13', 'python3.12', 'python3.11']) {
    const version = await run(command, ['-c', 'import sys; print(*sys.version_info[:2])']).catch(
      () => undefined,
    )
    const [major, minor] = version?.trim().split(' ').map(Number) ?? []
    if (major === OLDEST[0] && minor >= OLDEST[1]) return command
  }
  throw new SetupError(
    'Python 3.11 or newer is missing. On Debian and Ubuntu: apt-get install python3 python3-venv',
  )
}
