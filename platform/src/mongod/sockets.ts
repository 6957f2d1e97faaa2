import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Linux refuses longer paths of sockets. */
const MAX_SOCKET_PATH = 107

/** Where mongod listens. Both lie in a folder that only the platform's user can enter. */
export interface MongodSockets {
  /** For the platform; not counted among the connections of apps. */
  readonly platform: string
  /** For the relay that carries apps' connections. */
  readonly apps: string
}

/** In the data folder, or, where its path is too long for a socket, in a folder of the same user below the temporary one. */
export async function mongodSockets(dir: string): Promise<MongodSockets> {
  const folder = path.join(dir, 'run')
  const isShort = path.join(folder, 'platform.sock').length <= MAX_SOCKET_PATH
  return socketsIn(isShort ? folder : path.join(tmpdir(), `fp-mongod-${digest(dir)}`))
}

/** Somebody else may have made a folder below the temporary one: its sockets could then be replaced by theirs. */
async function socketsIn(folder: string): Promise<MongodSockets> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(folder)
  if (uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user. Remove it.`)
  await chmod(folder, 0o700)
  return { platform: path.join(folder, 'platform.sock'), apps: path.join(folder, 'apps.sock') }
}

/** The same for the same data folder: mongod is known to its replica set by the socket's path. */
function digest(dir: string): string {
  return createHash('sha256').update(path.resolve(dir)).digest('hex').slice(0, 16)
}

/** A socket in the place of a host in a URI. */
export function socketHost(file: string): string {
  return encodeURIComponent(file)
}
