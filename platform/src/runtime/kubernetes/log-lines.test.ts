import { expect, test } from 'vitest'
import { cutLines, padded, stamped } from './log-lines.ts'

async function linesOf(max: number, ...chunks: (string | Uint8Array)[]): Promise<string[]> {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk
  }
  const lines: string[] = []
  for await (const line of cutLines(bytes(), max)) lines.push(line)
  return lines
}

test('lines are found in any pieces', async () => {
  expect(await linesOf(100, 'one\ntw', 'o\n', '\nfour', '')).toEqual(['one', 'two', '', 'four'])
  const [a, b] = [new Uint8Array([0xc3]), new Uint8Array([0xa4, 0x0a])]
  expect(await linesOf(100, a, b)).toEqual(['ä'])
  expect(await linesOf(100)).toEqual([])
})

test('only the beginning of a line that is too long is kept in memory', async () => {
  expect(await linesOf(4, 'abcdef\nxy', 'zabc', 'def\n', 'ok\n', '12345')).toEqual([
    'abcd',
    'xyza',
    'ok',
    '1234',
  ])
})

test.each([
  ['2026-01-02T03:04:05.6Z', '2026-01-02T03:04:05.600000000Z'],
  ['2026-01-02T03:04:05.123456789Z', '2026-01-02T03:04:05.123456789Z'],
  ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000000000Z'],
  // A node with a time zone of its own.
  ['2026-01-01T00:30:05.5+02:00', '2025-12-31T22:30:05.500000000Z'],
  ['failed', undefined],
  ['2026-13-02T03:04:05Z', undefined],
  ['', undefined],
])('%s as a stamp is %s', (stamp, expected) => {
  expect(padded(stamp)).toBe(expected)
})

test('an app’s lines have a time and any text; kubelet’s own have none', () => {
  const stamp = '2026-01-02T03:04:05.600000000Z'
  expect(stamped('2026-01-02T03:04:05.6Z  a  b ')).toEqual({ stamp, text: ' a  b ' })
  expect(stamped('2026-01-02T03:04:05.6Z ')).toEqual({ stamp, text: '' })
  expect(stamped('2026-01-02T03:04:05.6Z')).toEqual({ stamp, text: '' })
  expect(stamped('unable to retrieve container logs for containerd://5')).toBeUndefined()
})
