import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { Lease } from '../types.ts'
import { HOP_BY_HOP, namedBy } from './hop-by-hop.ts'

/** Response headers that both the app and the proxy may set, in the same response. */
const SAID_BY_BOTH = new Set(['set-cookie', 'server-timing'])

/** A header name or value as the parser delivers it: a string with one character per byte, or the bytes. */
export type RawPart = Buffer | string

export interface AnswerHead {
  readonly statusCode: number
  /** Alternating names and values, as received. */
  readonly rawHeaders: readonly RawPart[]
  readonly headers: IncomingHttpHeaders
}

export interface ProxyHeaders {
  /** Headers that the proxy sets unless the app sets them; names in lower case. */
  readonly set: OutgoingHttpHeaders
  /** Headers that only the proxy sets; the app's headers of these names are dropped. */
  readonly own: Readonly<Record<string, string>>
  /** Whether the response to the client may use chunked encoding. */
  readonly chunks: boolean
  /** Whether this is the response to an upgrade request: the header Upgrade is part of it. */
  readonly upgrade?: boolean
}

/**
 * The response headers for the client, as alternating names and values. First the app's headers, unchanged and in the same
 * order, including repeated ones. Then the proxy's `set` headers that the app has not set, and its `own` headers.
 */
export function answerHeaders(
  head: AnswerHead,
  { set, own, chunks, upgrade }: ProxyHeaders,
): OutgoingHttpHeader[] {
  const { statusCode, rawHeaders, headers } = head
  const named = namedBy(headers.connection)
  const list: OutgoingHttpHeader[] = []
  let length: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = textOf(rawHeaders[i]!)
    const value = textOf(rawHeaders[i + 1]!)
    const name = raw.toLowerCase()
    if ((name === 'transfer-encoding' && chunks) || (name === 'upgrade' && upgrade)) list.push(raw, value)
    if (HOP_BY_HOP.has(name) || Object.hasOwn(own, name) || named?.has(name)) continue
    // RFC 9110 §8.6: a 204 has no Content-Length, and some clients would wait for a body if one is sent.
    if (name === 'content-length' && statusCode === 204) continue
    if (name === 'content-length' && hasOddDisposition(headers)) length = value
    else list.push(raw, value)
  }
  // If Node knows the length before Content-Disposition, it rejects bytes above 127 in that header, which it reads as UTF-8.
  // So in that case Content-Length comes last.
  if (length !== undefined) list.push('content-length', length)
  for (const name in set) {
    const free = !(name in headers) || HOP_BY_HOP.has(name) || SAID_BY_BOTH.has(name)
    if (free && !Object.hasOwn(own, name)) list.push(name, set[name]!)
  }
  for (const name in own) list.push(name, own[name]!)
  return list
}

/** The reason phrase with its original bytes: undici has decoded it as UTF-8, but it is sent as latin-1. */
export function reasonOf(text: string): string {
  return /^[\t -~]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

function textOf(part: RawPart): string {
  return typeof part === 'string' ? part : part.toString('latin1')
}

function hasOddDisposition({ 'content-disposition': value }: IncomingHttpHeaders): boolean {
  return value !== undefined && !/^[\t -~]*$/.test(String(value))
}

/**
 * A `Server-Timing` value for a request that waited for a wake: `wake` is the whole wait of the request, followed by the
 * duration of each phase of the wake, all in ms. Undefined if the request did not wait for a wake.
 */
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
