import { validateHeaderName, validateHeaderValue, type IncomingMessage } from 'node:http'
import { HOP_BY_HOP_OF_REQUEST, namedBy } from './hop-by-hop.ts'
import { originOf, type TrustProxy } from './origin.ts'
import { hasBody } from './request-body.ts'

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

/**
 * Returns the headers that only the proxy sets. They are sent to the app and to the client, and replace headers of the same
 * names from either.
 */
export type OwnHeaders = (request: IncomingMessage) => Readonly<Record<string, string>>

export interface RequestHeaderRules {
  readonly trustProxy: TrustProxy
  /** See `ScalerProxyOptions.clientPrefix`. */
  readonly clientPrefix: string | undefined
}

/**
 * The request headers for the endpoint, as alternating names and values, in the client's order and including repeated ones.
 * Forwarding headers of an untrusted client are replaced. Headers that apply to the client's connection are dropped or, with
 * `clientPrefix`, sent under another name. `own` headers replace the client's; their names are in lower case.
 */
export function requestHeaders(
  request: IncomingMessage,
  rules: RequestHeaderRules,
  own: Readonly<Record<string, string>>,
): string[] {
  const { headers, rawHeaders } = request
  const { clientPrefix: prefix } = rules
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
    } else if (
      name !== 'host' &&
      name !== 'content-length' &&
      !HOP_BY_HOP_OF_REQUEST.has(name) &&
      !named?.has(name)
    )
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

function claimsOrigin(name: string): boolean {
  return name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'x-real-ip'
}

const NONE = {}

/** The headers of an embedder's function, with names in lower case. Throws a TypeError that names the function and the header. */
export function checkedHeaders(
  option: string,
  headers: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  if (!headers) return NONE
  const checked: Record<string, string> = {}
  for (const name in headers) {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, headers[name]!)
    } catch (cause) {
      throw new TypeError(`${option} has returned a header that is not valid: ${(cause as Error).message}`, {
        cause,
      })
    }
    checked[name.toLowerCase()] = String(headers[name])
  }
  return checked
}
