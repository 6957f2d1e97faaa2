import { createHash } from 'node:crypto'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Linux refuses longer socket paths. In bytes. */
const MAX_SOCKET_PATH = 107

export interface ChannelSockets {
  /** Where the gate serves the API's process. */
  readonly gate: string
  /** Where the API's process serves requests. */
  readonly api: string
}

/**
 * The sockets of the two processes that use one data folder, in a folder that only their user can enter. Both processes get
 * the same paths from it.
 */
export async function channelSockets(dataDir: string): Promise<ChannelSockets> {
  const inData = path.join(dataDir, 'channel')
  const fits = Buffer.byteLength(path.join(inData, 'gate.sock')) <= MAX_SOCKET_PATH
  const folder = fits ? inData : path.join(tmpdir(), `fp-channel-${shortHash(dataDir)}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await lstat(folder)
  // In the shared folder for temporary files another user may have created it first.
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
    throw new Error(`The folder ${folder} must belong to this user alone. Delete it, then start again.`)
  return { gate: path.join(folder, 'gate.sock'), api: path.join(folder, 'api.sock') }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
