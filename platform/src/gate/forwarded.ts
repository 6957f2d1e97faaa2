import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'

/** The address of the peer that opened the connection to the gate. */
export const PEER_HEADER = 'fp-peer'
/** In an answer of the API: the user whose session the request had, and the session's id. The gate removes the header. */
export const USER_HEADER = 'fp-user'

/** Headers in which proxies describe clients. */
const FORWARDED = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/
/** Headers that are accepted only from trusted proxies. */
const FROM_PROXIES = /^(?:forwarded|x-real-ip|x-forwarded-.*|x-request-id)$/
/** Headers that determine where the body ends. They are never dropped, even if `connection` names them. */
const FRAMING = new Set(['content-length', 'transfer-encoding'])
/** Headers of the connection between client and gate, and those that only the gate and the API may set. */
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

/** For the API, which trusts the gate. The gate connects over a unix socket, whose peers have no address. */
export function trustsGate(trusts: TrustProxy): TrustProxy {
  return (address) => address === '' || trusts(address)
}

/**
 * A client's headers as the API gets them. The API trusts them, so headers about clients from untrusted peers are removed,
 * and the peer's address is last in `x-forwarded-for`. `fp-peer` is the peer's address, followed by `forwarded` if the
 * request came through a proxy.
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
  // Without this Node would send `transfer-encoding: chunked`.
  if (!hasBody) sent.push('content-length', '0')
  sent.push('x-forwarded-for', [...before, peer].join(', '))
  if (!hasScheme) sent.push('x-forwarded-proto', 'http')
  sent.push(PEER_HEADER, isForwarded ? `${peer} forwarded` : peer)
  return sent
}
