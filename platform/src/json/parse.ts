import { excessOf, type Excess } from './bounds.ts'

/** The parsed value, or why the text is refused. */
export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: 'invalid' | 'prototype' | Excess }

/** A name that would change the prototype of the object that it is assigned to. */
const PROTOTYPE = '__proto__'

/** Parses the JSON of a request's body: within the limits, UTF-8, without names that set a prototype. Never throws. */
export function parseBody(bytes: Uint8Array): Parsed {
  const excess = excessOf(bytes)
  if (excess) return { ok: false, reason: excess }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return { ok: false, reason: 'invalid' }
  }
  return setsPrototype(value) ? { ok: false, reason: 'prototype' } : { ok: true, value }
}

/** Recurses at most as deep as MAX_DEPTH allows. */
function setsPrototype(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false
  if (Object.hasOwn(value, PROTOTYPE)) return true
  const constructor: unknown = Object.hasOwn(value, 'constructor')
    ? (value as { constructor: unknown }).constructor
    : undefined
  if (constructor !== null && typeof constructor === 'object' && Object.hasOwn(constructor, 'prototype'))
    return true
  return Object.values(value).some(setsPrototype)
}
