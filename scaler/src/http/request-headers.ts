import type { IncomingMessage } from 'node:http'
import { originOf, type TrustProxy } from './origin.ts'
import { hasBody } from './request-body.ts'

/** RFC 9110 §7.6.1: headers that apply to one connection only. */
const HOP_BY_HOP = new Set([
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

/** Headers that the HTTP client towards the endpoint writes itself, so the client's values need another name (`clientPrefix`). */
const WRITTEN_BY_CARRIER = new Set([
  'host',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
])

/** Headers that the proxy always writes itself; values from outside are dropped. */
const FORWARDING = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])

/** Headers that a `Connection` header must not remove, because the message would then have another meaning. */
const FRAMING = new Set(['content-length', 'content-type'])

/**
 * Returns the headers that only the proxy sets, with names in lower case. They are sent to the app and to the client, and
 * replace headers of the same names from either.
 */
export type OwnHeaders = (request: IncomingMessage) => Readonly<Record<string, string>>

export interface RequestHeaderRules {
  readonly trustProxy: TrustProxy
  /** See `ScalerProxyOptions.clientPrefix`. */
  readonly clientPrefix: string | undefined
  readonly ownHeaders: OwnHeaders
}

/**
 * The request headers for the endpoint, as alternating names and values, in the client's order and including repeated ones.
 * Forwarding headers of an untrusted client are replaced. Headers that apply to the client's connection are dropped or, with
 * `clientPrefix`, sent under another name. `added` headers replace the client's.
 */
export function requestHeaders(
  request: IncomingMessage,
  rules: RequestHeaderRules,
  added?: Readonly<Record<string, string>>,
): string[] {
  const { headers, rawHeaders } = request
  const { clientPrefix: prefix } = rules
  const own = added ? { ...added, ...rules.ownHeaders(request) } : rules.ownHeaders(request)
  const origin = originOf(request, rules.trustProxy)
  const named = prefix === undefined ? namedBy(headers.connection) : undefined
  const list: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    const name = raw.toLowerCase()
    if (FORWARDING.has(name) || Object.hasOwn(own, name)) continue
    if (!origin.trusted && claimsOrigin(name)) continue
    if (prefix !== undefined) {
      if (name === 'host') list.push(`${prefix}-host`, headers.host ?? value)
      else if (WRITTEN_BY_CARRIER.has(name) || name.startsWith(prefix)) list.push(`${prefix}-${name}`, value)
      else list.push(raw, value)
    } else if (name !== 'host' && name !== 'content-length' && !HOP_BY_HOP.has(name) && !named?.has(name))
      list.push(raw, value)
  }
  for (const name in own) list.push(name, own[name]!)
  if (prefix !== undefined) list.push(prefix, origin.line)
  list.push('x-forwarded-for', origin.forwardedFor)
  list.push('x-forwarded-proto', origin.scheme)
  list.push('x-forwarded-host', origin.forwardedHost)
  list.push('host', headers.host ?? '')
  const length = headers['content-length']
  if (length !== undefined && (prefix === undefined || hasBody(request))) list.push('content-length', length)
  return list
}

/** The header names listed in a `Connection` header: these headers are hop-by-hop too. */
export function namedBy(connection: string | string[] | undefined): Set<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  const names = String(connection)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  return new Set(names).difference(FRAMING)
}

function claimsOrigin(name: string): boolean {
  return name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'x-real-ip'
}
