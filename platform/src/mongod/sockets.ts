import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Linux refuses paths of sockets that are longer than 107; the names of sockets are 21 long at most. */
const MAX_FOLDER_PATH = 107 - 22

/** Where mongod listens. Both lie in a folder that only the platform's user can enter. */
export interface MongodSockets {
  /** For the platform; not counted among the connections of apps. */
  readonly platform: string
  /** For the relay that carries apps' connections. */
  readonly apps: string
}

/** In the data folder, or, where its path is too long for a socket, in a folder of the same user below the temporary one. */
export async function mongodSockets(dir: string): Promise<MongodSockets> {
  const folder = shortFolder(dir, 'run')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(folder)
  // Somebody else may have made it below the temporary one: its sockets could then be replaced by theirs.
  if (uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user. Remove it.`)
  await chmod(folder, 0o700)
  return { platform: path.join(folder, 'platform.sock'), apps: path.join(folder, 'apps.sock') }
}

/** Where the relay makes the sockets of apps. */
export function relayFolder(dir: string): string {
  return shortFolder(dir, 'apps')
}

/** The same for the same data folder: mongod is known to its replica set by the socket's path. */
function shortFolder(dir: string, name: string): string {
  const folder = path.join(dir, name)
  if (folder.length <= MAX_FOLDER_PATH) return folder
  const digest = createHash('sha256').update(path.resolve(dir)).digest('hex').slice(0, 16)
  return path.join(tmpdir(), `fp-mongodb-${name}-${digest}`)
}

/** A socket in the place of a host in a URI. */
export function socketHost(file: string): string {
  return encodeURIComponent(file)
}
