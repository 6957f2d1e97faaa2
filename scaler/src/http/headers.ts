import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Lease } from '../types.ts'

/** RFC 9110 §7.6.1: meant for one connection, never forwarded. `expect` is answered by the front itself. */
const REQUEST_HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
])

const RESPONSE_HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  // The announcement alone: the trailers themselves are forwarded where the answer goes out in chunks.
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * Headers that are the front's alone, by their names in lower case: sent to the app and to the client in place of whatever
 * either says under these names.
 */
export type OwnHeaders = (request: IncomingMessage) => Readonly<Record<string, string>>

/** The front's own words, whatever came from outside under these names. */
const SET_BY_FRONT = new Set(['host', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])

/** Headers of an answer in which the app and the front may each have something to say. */
const SAID_BY_BOTH = new Set(['set-cookie', 'server-timing'])

/** What a `Connection` header must not take away: without them the rest is another message. */
const FRAMING = new Set(['content-length', 'content-type'])

/** Whether a peer's X-Forwarded-* headers are believed: it is a proxy of ours. */
export type TrustProxy = (address: string) => boolean

/**
 * The headers to send upstream, names and values in turn: Host kept, hop-by-hop dropped, forwarding set. What an
 * untrusted client claims of where it came from is replaced.
 */
export function upstreamHeaders(
  request: IncomingMessage,
  trust: TrustProxy,
  own: ReturnType<OwnHeaders>,
): string[] {
  const { headers, socket } = request
  const address = socket.remoteAddress ?? ''
  const trusted = trust(address)
  const named = namedBy(headers.connection)
  const list: string[] = []
  for (const name in headers) {
    if (REQUEST_HOP_BY_HOP.has(name) || SET_BY_FRONT.has(name) || Object.hasOwn(own, name)) continue
    if (!trusted && tellsOrigin(name)) continue
    if (named?.has(name)) continue
    const value = headers[name]
    if (Array.isArray(value)) for (const each of value) list.push(name, each)
    else if (value !== undefined) list.push(name, value)
  }
  const told = trusted ? headers : {}
  const before = told['x-forwarded-for']
  const encrypted = (socket as Partial<TLSSocket>).encrypted === true
  list.push('host', headers.host ?? '')
  list.push('x-forwarded-for', before ? `${String(before)}, ${address}` : address)
  list.push('x-forwarded-proto', String(told['x-forwarded-proto'] || (encrypted ? 'https' : 'http')))
  list.push('x-forwarded-host', String(told['x-forwarded-host'] || (headers.host ?? '')))
  for (const name in own) list.push(name, own[name]!)
  return list
}

/**
 * The headers of an answer for the client, names and values in turn: the app's, and the front's `set` where the app has
 * said nothing; those in `own` are the front's alone.
 */
export function clientHeaders(
  headers: IncomingHttpHeaders,
  set: OutgoingHttpHeaders,
  own: Readonly<Record<string, string>>,
): OutgoingHttpHeader[] {
  const named = namedBy(headers.connection)
  const list: OutgoingHttpHeader[] = []
  for (const name in headers) {
    if (RESPONSE_HOP_BY_HOP.has(name) || Object.hasOwn(own, name) || named?.has(name)) continue
    // One entry a name: on a response that has headers already, a second would take the place of the first.
    if (name in set && SAID_BY_BOTH.has(name)) list.push(name, [headers[name], set[name]].flat().map(String))
    else list.push(name, headers[name]!)
  }
  for (const name in set) {
    if (Object.hasOwn(own, name)) continue
    if (!(name in headers) || RESPONSE_HOP_BY_HOP.has(name)) list.push(name, set[name]!)
  }
  for (const name in own) list.push(name, own[name]!)
  return list
}

/** The names of other headers in a `Connection` header: they are hop-by-hop too. */
function namedBy(connection: string | string[] | undefined): Set<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  const names = String(connection)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  return new Set(names).difference(FRAMING)
}

function tellsOrigin(name: string): boolean {
  return name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'x-real-ip'
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
