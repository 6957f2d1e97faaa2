import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Linux refuses socket paths of more than 107 characters. A slash and a socket's name have at most 22. */
const MAX_FOLDER_PATH = 107 - 22

/** Where mongod listens. Both sockets are in a folder that only the platform's user can enter. */
export interface MongodSockets {
  /** For the platform. Its connections do not count as those of apps. */
  readonly platform: string
  /** For the relay that forwards apps' connections. */
  readonly apps: string
}

/** In the data folder. If its path is too long for a socket, in a folder of the same user in the temporary folder. */
export async function mongodSockets(dir: string): Promise<MongodSockets> {
  const folder = shortFolder(dir, 'run')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(folder)
  // Another user may have created it in the temporary folder, and could then replace the sockets in it.
  if (uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user. Remove it.`)
  await chmod(folder, 0o700)
  return { platform: path.join(folder, 'platform.sock'), apps: path.join(folder, 'apps.sock') }
}

/** The folder in which the relay creates the sockets of apps. */
export function relayFolder(dir: string): string {
  return shortFolder(dir, 'apps')
}

/** Always the same for one data folder, as mongod's name in its replica set is the socket's path. */
function shortFolder(dir: string, name: string): string {
  const folder = path.join(dir, name)
  if (folder.length <= MAX_FOLDER_PATH) return folder
  const digest = createHash('sha256').update(path.resolve(dir)).digest('hex').slice(0, 16)
  return path.join(tmpdir(), `fp-mongodb-${name}-${digest}`)
}

/** A socket's path as the host of a URI. */
export function socketHost(file: string): string {
  return encodeURIComponent(file)
}
