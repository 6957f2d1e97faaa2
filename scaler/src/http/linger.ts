import type { FastifyReply } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { isUnread } from './request-body.ts'

/** ms that a client which is still uploading has to read the response and to close the connection. */
const LINGER = 5_000

/** Node's HTTP parser stops the internal handle without the socket's knowledge, so reading must be restarted at the handle. */
type Handled = Socket & { readonly _handle?: { readStart(): void } | null }

/** Must be called before the head of every response. If the upload has not ended, the response closes the connection. */
export function closeIfUnread(reply: FastifyReply): void {
  if (!isUnread(reply.request.raw)) return
  reply.header('connection', 'close')
  linger(reply.raw)
}

/** `closeIfUnread` for servers without Fastify. */
export function closeRawIfUnread(request: IncomingMessage, response: ServerResponse): void {
  if (!isUnread(request)) return
  response.setHeader('connection', 'close')
  linger(response)
}

/**
 * For a response that is sent before the end of the upload and closes the connection. Closing a socket with unread data resets
 * the connection, and a reset discards what the client has not read yet (RFC 9112 §9.6). So only the sending side is closed;
 * further data from the client is discarded until the client closes the connection or LINGER ms have passed.
 */
function linger(response: ServerResponse): void {
  const socket: Handled | null = response.socket
  if (!socket) return
  // Node's server calls this method after the last byte of a response that closes the connection.
  socket.destroySoon = () => {
    const timer = setTimeout(() => socket.destroy(), LINGER).unref()
    socket.once('close', () => clearTimeout(timer)).once('end', () => socket.destroy())
    socket.end()
    // With another 'data' listener, the socket's data no longer goes to the HTTP parser.
    socket
      .removeAllListeners('data')
      .on('data', () => undefined)
      .resume()
    socket._handle?.readStart()
  }
}
