import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ScalerError } from '../errors.ts'
import { absoluteTarget, useTargetHost } from './request-target.ts'

/** RFC 3986 §3.2.2 without user info: a name, an IPv4 address or an IP address in brackets, and optionally a port. */
const HOST = /^([\w!$&'()*+;=.~%-]*|\[[\da-f:.]+\])(:\d*)?$/i

/** Answers ambiguous requests with 400 and closes their connection. */
export function refuseBadRequests(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const flaw = flawOf(request.raw)
    if (flaw === undefined) {
      useTargetHost(request.raw)
      return done()
    }
    reply.header('connection', 'close')
    done(badRequest(flaw))
  })
}

export function badRequest(flaw: string): ScalerError {
  return new ScalerError('SCALER_BAD_REQUEST', flaw)
}

/**
 * Checks for what Node's parser accepts but an app might interpret differently from this proxy. Returns a message for the
 * client, or undefined if the request is valid.
 */
export function flawOf(request: IncomingMessage): string | undefined {
  const { headers, httpVersion, rawHeaders, url = '' } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'Only HTTP/1.0 and HTTP/1.1 are supported.'
  if (url.includes('#')) return 'The request target must not contain a fragment (#).'
  if (url === '*') return 'The request target * is not supported.'
  // Node's parser itself rejects a Transfer-Encoding that does not end in chunked, right after it has reported the request.
  const coding = headers['transfer-encoding']?.toLowerCase()
  const last = coding?.split(',').at(-1)!.trim()
  if (last === 'chunked' && (coding !== 'chunked' || httpVersion === '1.0'))
    return 'The only supported Transfer-Encoding is chunked, in HTTP/1.1.'
  if (!url.startsWith('/')) {
    const target = absoluteTarget(request)
    if (!target || !/^https?$/.test(target.scheme))
      return 'The request target is neither a path nor an http or https URL.'
    if (target.host === '' || !HOST.test(target.host)) return 'The host in the request target is not valid.'
  }
  // Node checks this too, but not for upgrade requests.
  if (headers.host === undefined && httpVersion === '1.1') return 'The Host header is missing.'
  if (headers.host !== undefined && !HOST.test(headers.host)) return 'The Host header is not valid.'
  // Node uses the first of several Host headers without an error.
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') hosts++
  return hosts > 1 ? 'There is more than one Host header.' : undefined
}
