import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'

/** The address of whoever has opened the connection to the gate. */
export const PEER_HEADER = 'fp-peer'
/** In an answer of the API: the user whose session the request had. The gate takes it off. */
export const USER_HEADER = 'fp-user'

/** What proxies say of clients. */
const FORWARDED = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/
/** Believed from trusted proxies alone. */
const FROM_PROXIES = /^(?:forwarded|x-real-ip|x-forwarded-.*|x-request-id)$/
/** They say where the body ends: `connection` may name them, but they are never dropped. */
const FRAMING = new Set(['content-length', 'transfer-encoding'])
/** Of the client's connection to the gate; and names that are the gate's own. */
const DROPPED = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  // Trailers are not passed on.
  'trailer',
  'upgrade',
  PEER_HEADER,
  USER_HEADER,
])

/** For the API, which believes the gate: it comes by a unix socket, whose peers have no address. */
export function trustsGate(trusts: TrustProxy): TrustProxy {
  return (address) => address === '' || trusts(address)
}

/**
 * A client's headers as the API gets them. The API believes them: what strangers say of themselves is taken off, and the
 * peer's address stands last in `x-forwarded-for`. `fp-peer` is the peer's address, with `forwarded` after it where the
 * request has come through a proxy.
 */
export function forwardedHeaders(req: IncomingMessage, trusts: TrustProxy): string[] {
  const { rawHeaders, headers } = req
  const peer = req.socket.remoteAddress ?? ''
  const trusted = trusts(peer)
  const named = new Set(
    (headers.connection ?? '')
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  )
  const sent: string[] = ['host', headers.host ?? '']
  const before: string[] = []
  let isForwarded = false
  let hasScheme = false
  let hasBody = false
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at]!, rawHeaders[at + 1]!]
    const lower = name.toLowerCase()
    isForwarded ||= FORWARDED.test(lower)
    if (DROPPED.has(lower) || (named.has(lower) && !FRAMING.has(lower))) continue
    if (FROM_PROXIES.test(lower) && !trusted) continue
    if (lower === 'x-forwarded-for') before.push(value)
    else sent.push(name, value)
    hasScheme ||= lower === 'x-forwarded-proto'
    hasBody ||= FRAMING.has(lower)
  }
  // Node would announce a body in chunks.
  if (!hasBody) sent.push('content-length', '0')
  sent.push('x-forwarded-for', [...before, peer].join(', '))
  if (!hasScheme) sent.push('x-forwarded-proto', 'http')
  sent.push(PEER_HEADER, isForwarded ? `${peer} forwarded` : peer)
  return sent
}
