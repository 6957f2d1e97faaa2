import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** What Fastify takes for a media type; it answers 415 to any other. */
const MEDIA_TYPE = /^[!#$%&'*+.^`|~\w-]+\/[!#$%&'*+.^`|~\w-]+\s*(;|$)/

/** RFC 9112 §6.3 */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** Whether some of the body has yet to come. An answer sent now ends the connection, or the rest would be read for nothing. */
export function isUnread(request: IncomingMessage): boolean {
  return !request.complete && hasBody(request)
}

/** Whether the client sends its body only once it is asked for it. HTTP/1.0 knows no such thing. */
export function waitsForContinue({ headers, httpVersionMinor }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue' && httpVersionMinor > 0
}

/**
 * Lets bodies of every type through unread: no parser of the embedder gets hold of one, and one that waits to be asked
 * for (`Expect: 100-continue`) is asked for only when an app asks for it. Fastify does not see types that it would refuse.
 */
export function passBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  fastify.addHook('onRequest', (request, _reply, done) => {
    const type = request.raw.headers['content-type']
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete request.raw.headers['content-type']
    // Fastify refuses a QUERY without a type. What is sent on are the headers as they came.
    if (request.method === 'QUERY') request.raw.headers['content-type'] ??= 'application/octet-stream'
    done()
  })
  const server: Server = fastify.server
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    server.emit('request', request, response)
  })
}
