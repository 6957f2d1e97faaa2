import type { Socket } from 'node:net'

/** Node's parser of a connection, which its types leave out. */
interface ParsedSocket extends Socket {
  parser?: { onIncoming?: (() => number) | null } | null
}

/** To Node's parser: what follows is another protocol. It then stops where it is. */
const UPGRADE = 2

/**
 * No more requests are taken from a connection that is about to be closed, not even those that have come in the same packet:
 * it may hold thousands, and Node would hand out one after the other, connection closed or not.
 */
export function takeNoMore(socket: Socket): void {
  const { parser } = socket as ParsedSocket
  if (parser?.onIncoming) parser.onIncoming = () => UPGRADE
}
