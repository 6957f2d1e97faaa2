import type { Socket } from 'node:net'

/** Node's parser of a connection, which is missing in its types. */
interface ParsedSocket extends Socket {
  parser?: { onIncoming?: (() => number) | null } | null
}

/** The return value that tells Node's parser that another protocol follows. The parser then stops. */
const UPGRADE = 2

/**
 * Stops reading requests from a connection that is about to be closed, even those that have arrived in the same packet: it
 * may contain thousands, and Node would emit one after the other even after the connection was closed.
 */
export function takeNoMore(socket: Socket): void {
  const { parser } = socket as ParsedSocket
  if (parser?.onIncoming) parser.onIncoming = () => UPGRADE
}
