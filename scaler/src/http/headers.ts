import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Lease } from '../types.ts'

/** RFC 9110 §7.6.1: meant for one connection, never forwarded. `expect` is answered by the front itself. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]

const RESPONSE_HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'trailer',
  'upgrade',
]

/** Whether a peer's X-Forwarded-* headers are believed: it is a proxy of ours. */
export type TrustProxy = (address: string) => boolean

/**
 * Sets what the app may know of the client. What came from outside under these names is replaced, unless the front
 * stands behind a proxy that is trusted to have set it.
 */
function setForwarded(headers: IncomingHttpHeaders, request: IncomingMessage, trust: TrustProxy): void {
  const address = request.socket.remoteAddress ?? ''
  const trustProxy = trust(address)
  const encrypted = (request.socket as Partial<TLSSocket>).encrypted === true
  const given = trustProxy ? headers['x-forwarded-for'] : undefined
  headers['x-forwarded-for'] = given ? `${String(given)}, ${address}` : address
  if (!trustProxy || !headers['x-forwarded-proto'])
    headers['x-forwarded-proto'] = encrypted ? 'https' : 'http'
  if (!trustProxy || !headers['x-forwarded-host']) headers['x-forwarded-host'] = request.headers.host ?? ''
  if (!trustProxy) delete headers['forwarded']
}

/** The headers to send upstream: Host kept, hop-by-hop dropped, forwarding set. */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  request: IncomingMessage,
  trust: TrustProxy,
): IncomingHttpHeaders {
  for (const name of HOP_BY_HOP) if (name in headers) delete headers[name]
  headers.host = request.headers.host
  setForwarded(headers, request, trust)
  return headers
}

export function responseHeaders(headers: IncomingHttpHeaders, lease: Lease | undefined): IncomingHttpHeaders {
  for (const name of RESPONSE_HOP_BY_HOP) if (name in headers) delete headers[name]
  const timing = lease && serverTiming(lease)
  if (timing) {
    const own = headers['server-timing']
    headers['server-timing'] = own ? `${String(own)}, ${timing}` : timing
  }
  return headers
}

/** A wake as `Server-Timing`: `wake` is the whole wait of this request, then each phase's own part of the wake. */
export function serverTiming(lease: Lease): string | undefined {
  const cold = lease.coldStart
  if (!cold) return undefined
  let before = 0
  const parts = cold.phases.map(({ name, at }) => {
    const duration = at - before
    before = at
    return `${name};dur=${duration.toFixed(1)}`
  })
  return [`wake;dur=${cold.waited.toFixed(1)}`, ...parts].join(', ')
}
