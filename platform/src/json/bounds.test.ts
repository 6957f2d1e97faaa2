import { expect, test } from 'vitest'
import { excessOf, MAX_DEPTH, MAX_VALUES } from './bounds.ts'
import { parseBody } from './parse.ts'

const excess = (text: string) => excessOf(Buffer.from(text))

test.each([
  [
    'a hundred thousand members',
    `{${Array.from({ length: 100_000 }, (_, n) => `"k${n}":0`).join()}}`,
    'values',
  ],
  ['a hundred thousand elements', `[${'0,'.repeat(100_000)}0]`, 'values'],
  ['a hundred thousand empty objects', `[${'{}'.repeat(100_000)}]`, 'values'],
  ['arrays in each other', '['.repeat(100_000), 'depth'],
  ['objects in each other', '{"a":'.repeat(100_000), 'depth'],
] as const)('%s are too many to be parsed', (_what, text, reason) => {
  expect(excess(text)).toBe(reason)
  expect(parseBody(Buffer.from(text))).toEqual({ ok: false, reason })
})

test('as many values as are allowed pass', () => {
  expect(excess(`[${'0,'.repeat(MAX_VALUES - 1)}0]`)).toBeUndefined()
  expect(excess('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH))).toBeUndefined()
})

test('characters in strings do not count, whatever is escaped in them', () => {
  const texts = [
    ',,[[{{'.repeat(1_000),
    '"',
    '\\',
    '\\"',
    '\\\\"[',
    `${'\\'.repeat(1_001)}"${'['.repeat(1_000)}`,
  ]
  for (const text of texts) {
    expect(excess(JSON.stringify(text))).toBeUndefined()
    expect(excess(JSON.stringify({ [text]: text }))).toBeUndefined()
    expect(parseBody(Buffer.from(JSON.stringify([text])))).toEqual({ ok: true, value: [text] })
  }
})

test.each([
  ['half a text', '"abc', 'invalid'],
  ['no JSON', 'hello', 'invalid'],
  ['a prototype', '{"a":[{"__proto__":1}]}', 'prototype'],
  ['an escaped prototype', '{"\\u005f_proto__":1}', 'prototype'],
  ['a constructor’s prototype', '{"constructor":{"prototype":{}}}', 'prototype'],
])('%s is refused', (_what, text, reason) => {
  expect(parseBody(Buffer.from(text))).toEqual({ ok: false, reason })
})

test('bytes that are not UTF-8 are refused, not replaced', () => {
  expect(parseBody(Buffer.from([0x22, 0xff, 0x22]))).toEqual({ ok: false, reason: 'invalid' })
})

test('an ordinary member called constructor does not set a prototype', () => {
  expect(parseBody(Buffer.from('{"constructor":"x"}'))).toEqual({ ok: true, value: { constructor: 'x' } })
})
