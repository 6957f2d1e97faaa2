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

/**
 * Lets bodies of every type through unread: no parser of the embedder gets hold of one, and one that waits to be asked
 * for (`Expect: 100-continue`) is asked for only when an endpoint is ready.
 */
export function passBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  fastify.addHook('onRequest', (request, _reply, done) => {
    const type = request.raw.headers['content-type']
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete request.raw.headers['content-type']
    done()
  })
  const server: Server = fastify.server
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    server.emit('request', request, response)
  })
}

/** The Content-Type as it came, where `passBodies` has hidden it from Fastify. */
export function hiddenType({ headers, rawHeaders }: IncomingMessage): string | undefined {
  if (headers['content-type'] !== undefined) return undefined
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type')
  return at < 0 ? undefined : rawHeaders[at + 1]
}
