import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** Media types that Fastify accepts; it answers 415 to any other. */
const MEDIA_TYPE = /^[!#$%&'*+.^`|~\w-]+\/[!#$%&'*+.^`|~\w-]+\s*(;|$)/

/** Whether the request has a body (RFC 9112 §6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** Whether part of the body has not arrived yet. A response sent now closes the connection, to avoid reading the rest in vain. */
export function isUnread(request: IncomingMessage): boolean {
  return !request.complete && hasBody(request)
}

/** Whether the client waits for 100 (Continue) before it sends its body. Not possible in HTTP/1.0. */
export function waitsForContinue({ headers, httpVersionMinor }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue' && httpVersionMinor > 0
}

/**
 * Passes bodies of every content type through without parsing them. With `Expect: 100-continue`, the client gets 100 (Continue)
 * only when the app sends it. Content types that Fastify would reject are hidden from it.
 */
export function passBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  fastify.addHook('onRequest', (request, _reply, done) => {
    const type = request.raw.headers['content-type']
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete request.raw.headers['content-type']
    // Fastify rejects a QUERY without a content type. The app still gets the original headers, which are in `rawHeaders`.
    if (request.method === 'QUERY') request.raw.headers['content-type'] ??= 'application/octet-stream'
    done()
  })
}
