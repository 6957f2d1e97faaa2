import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { isAffected, versionIn } from './mongod-version.mjs'
import { inRoot, NODE } from './paths.mjs'
import { run } from './run.mjs'

/** Best first. The host does not have every version for every system: 7.0 is used when there is no 8.0. */
export const VERSIONS = ['8.0.29', '8.0.20', '7.0.40']
const HOST = 'https://fastdl.mongodb.org'
/** A machine that cannot reach the host must not wait long for it. */
const REACH_TIMEOUT = 3000

/**
 * Downloads a mongod from MongoDB's own host to `target`. Resolves to its version, or to why there is none. `whenPackages` resolves
 * when the npm packages are there; whether the host can be reached is known before that. `prepare` installs the libraries that
 * a file needs.
 */
export async function downloadMongod({
  target,
  state,
  whenPackages,
  prepare = async () => {},
  host = process.env.MONGOMS_DOWNLOAD_MIRROR || HOST,
}) {
  if (!(await canBeReached(host))) return { problem: `${new URL(host).host} cannot be reached` }
  await whenPackages
  mkdirSync(state, { recursive: true })
  const folder = mkdtempSync(path.join(state, 'mongodb-download-'))
  try {
    const file = await fetched(folder, host)
    await prepare(file)
    const version = versionIn(await run(file, ['--version']))
    if (!version || isAffected(version)) throw new Error(`${host} gave version ${version ?? 'unknown'}`)
    chmodSync(file, 0o755)
    mkdirSync(path.dirname(target), { recursive: true })
    renameSync(file, target)
    return { version }
  } catch (error) {
    return { problem: (error.output ?? error.message).trim() }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function canBeReached(host) {
  const answer = fetch(host, {
    method: 'HEAD',
    redirect: 'manual',
    signal: AbortSignal.timeout(REACH_TIMEOUT),
  })
  return answer.then(
    () => true,
    () => false,
  )
}

/** In a process of its own: the downloader needs a newer Node than `npm start`, and reads its settings from the environment. */
async function fetched(folder, host) {
  const output = await run(NODE, [inRoot('scripts/lib/fetch-mongod.mjs'), folder, ...suitable()], {
    cwd: folder,
    env: {
      MONGOMS_DOWNLOAD_MIRROR: host,
      MONGOMS_USE_HTTP: String(host.startsWith('http:')),
      MONGOMS_DOWNLOAD_DIR: folder,
      MONGOMS_MAX_RETRIES: '2',
      // It would use earlier downloads in the home folder, which are not checked again.
      HOME: folder,
      MONGOMS_SYSTEM_BINARY: '',
      MONGOMS_DOWNLOAD_URL: '',
      MONGOMS_ARCHIVE_NAME: '',
      // Without this it accepts any certificate, and the checksum comes from the same host.
      npm_config_strict_ssl: 'true',
    },
  })
  return output.trim().split('\n').at(-1)
}

/** MongoDB 8 refuses to start on Linux 6.19 to 7.0.13. */
export function suitable(kernel = os.release()) {
  const [major, minor, patch] = kernel.split(/[.-]/).map(Number)
  const refused =
    (major === 6 && minor >= 19) || (major === 7 && minor === 0 && (Number.isNaN(patch) || patch < 14))
  return refused ? VERSIONS.filter((version) => !version.startsWith('8.')) : VERSIONS
}
