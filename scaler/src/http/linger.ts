import type { ServerResponse } from 'node:http'

/** ms that a client which is still uploading has, once its answer is out, to read it and to close. */
const LINGER = 5_000

/**
 * For an answer that comes before the end of its upload and closes the connection. To close a socket of which not
 * everything was read is to reset it, and a reset takes from the client what it has not read yet (RFC 9112 §9.6): so
 * only this side is closed, and the rest when the client closes or its time is over.
 */
export function linger({ socket }: ServerResponse): void {
  if (!socket) return
  // What Node's server calls after the last byte of such an answer.
  socket.destroySoon = () => {
    const timer = setTimeout(() => socket.destroy(), LINGER).unref()
    socket.once('close', () => clearTimeout(timer))
    socket.end()
  }
}
