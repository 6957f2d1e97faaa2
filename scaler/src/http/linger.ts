import type { FastifyReply } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { isUnread } from './request-body.ts'

/** ms that a client which is still uploading has, once its answer is out, to read it and to close. */
const LINGER = 5_000

/** Node's parser stops the handle itself and tells nobody; so must who starts it again. */
type Handled = Socket & { readonly _handle?: { readStart(): void } | null }

/** To be called before the head of every answer: one that comes before the end of its upload closes the connection. */
export function closeIfUnread(reply: FastifyReply): void {
  if (!isUnread(reply.request.raw)) return
  reply.header('connection', 'close')
  linger(reply.raw)
}

/** The same where there is no Fastify. */
export function closeRawIfUnread(request: IncomingMessage, response: ServerResponse): void {
  if (!isUnread(request)) return
  response.setHeader('connection', 'close')
  linger(response)
}

/**
 * For an answer that comes before the end of its upload and closes the connection. To close a socket of which not
 * everything was read is to reset it, and a reset takes from the client what it has not read yet (RFC 9112 §9.6). So only
 * this side is closed; what the client still says is thrown away until it closes, or its time is over.
 */
function linger(response: ServerResponse): void {
  const socket: Handled | null = response.socket
  if (!socket) return
  // What Node's server calls after the last byte of such an answer.
  socket.destroySoon = () => {
    const timer = setTimeout(() => socket.destroy(), LINGER).unref()
    socket.once('close', () => clearTimeout(timer)).once('end', () => socket.destroy())
    socket.end()
    // A listener of one's own takes the socket back from the parser.
    socket
      .removeAllListeners('data')
      .on('data', () => undefined)
      .resume()
    socket._handle?.readStart()
  }
}
