import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { Lease } from '../types.ts'
import { namedBy } from './request-headers.ts'

/** RFC 9110 §7.6.1: meant for one connection, never forwarded. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  // The announcement alone: the trailers themselves are forwarded where the answer goes out in chunks.
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Headers of an answer in which the app and the proxy may each have something to say. */
const SAID_BY_BOTH = new Set(['set-cookie', 'server-timing'])

/** A name or a value as the parser has it: a text of one character a byte, or the bytes. */
export type RawPart = Buffer | string

export interface AnswerHead {
  readonly statusCode: number
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly RawPart[]
  readonly headers: IncomingHttpHeaders
}

export interface ProxyHeaders {
  /** The proxy's, where the app says nothing; names in lower case. */
  readonly set: OutgoingHttpHeaders
  /** The proxy's alone, whatever the app says. */
  readonly own: Readonly<Record<string, string>>
  /** Whether the client's connection takes a body in chunks. */
  readonly chunks: boolean
}

/**
 * The headers of an answer for the client, names and values in turn: the app's in its order, byte for byte and as often
 * as it sent them, then the proxy's own where the app has said nothing, or may say nothing.
 */
export function answerHeaders(head: AnswerHead, { set, own, chunks }: ProxyHeaders): OutgoingHttpHeader[] {
  const { statusCode, rawHeaders, headers } = head
  const named = namedBy(headers.connection)
  const list: OutgoingHttpHeader[] = []
  let length: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = textOf(rawHeaders[i]!)
    const value = textOf(rawHeaders[i + 1]!)
    const name = raw.toLowerCase()
    if (name === 'transfer-encoding' && chunks) list.push(raw, value)
    if (HOP_BY_HOP.has(name) || Object.hasOwn(own, name) || named?.has(name)) continue
    // RFC 9110 §8.6: a 204 has no length, and some clients would wait for one that is given.
    if (name === 'content-length' && statusCode === 204) continue
    if (name === 'content-length' && hasOddDisposition(headers)) length = value
    else list.push(raw, value)
  }
  // Where Node knows the length already, it refuses bytes above 127 in this one header: it reads them as UTF-8.
  if (length !== undefined) list.push('content-length', length)
  for (const name in set) {
    const free = !(name in headers) || HOP_BY_HOP.has(name) || SAID_BY_BOTH.has(name)
    if (free && !Object.hasOwn(own, name)) list.push(name, set[name]!)
  }
  for (const name in own) list.push(name, own[name]!)
  return list
}

/** A reason phrase as it came: undici has read it as UTF-8, and it is sent as latin-1. */
export function reasonOf(text: string): string {
  return /^[\t -~]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

function textOf(part: RawPart): string {
  return typeof part === 'string' ? part : part.toString('latin1')
}

function hasOddDisposition({ 'content-disposition': value }: IncomingHttpHeaders): boolean {
  return value !== undefined && !/^[\t -~]*$/.test(String(value))
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
