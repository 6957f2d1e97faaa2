/** RFC 9110 §7.6.1: headers that apply to one connection only and are never forwarded. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  // Only the announcement of trailers is dropped. The trailers of a response are forwarded if it is chunked.
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Those of requests. */
export const HOP_BY_HOP_OF_REQUEST: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'proxy-authorization',
  'te',
  'http2-settings',
  'expect',
])

/** Headers that a `Connection` header must not remove, because the message would then have another meaning. */
const FRAMING = new Set(['content-length', 'content-type'])

/** The header names listed in a `Connection` header: these headers are hop-by-hop too. */
export function namedBy(connection: string | string[] | undefined): Set<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  const names = String(connection)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  return new Set(names).difference(FRAMING)
}
