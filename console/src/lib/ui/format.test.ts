import { expect, test } from 'vitest'
import { bytes, clockTime, duration, plural, relativeTime } from './format.ts'
import { friendlyName } from './friendly-name.ts'

const NOW = Date.parse('2026-03-10T12:00:00Z')

test.each([
  ['2026-03-10T11:59:30Z', 'just now'],
  ['2026-03-10T12:00:05Z', 'just now'],
  ['2026-03-10T11:58:00Z', '2 minutes ago'],
  ['2026-03-09T11:00:00Z', 'yesterday'],
  ['2024-03-09T11:00:00Z', '2 years ago'],
])('%s is %s', (iso, words) => expect(relativeTime(iso, NOW)).toBe(words))

test('durations and sizes read well', () => {
  expect([3.14, 12.4, 999, 1240, 125_000].map(duration)).toEqual([
    '3.1 ms',
    '12 ms',
    '999 ms',
    '1.24 s',
    '2 min 5 s',
  ])
  expect([10, 2048, 3 * 1024 * 1024].map(bytes)).toEqual(['10 B', '2.0 KB', '3.0 MB'])
})

test('a friendly name is two words', () => {
  expect(friendlyName()).toMatch(/^[a-z]+-[a-z]+$/)
  expect(friendlyName(() => 0)).toBe('amber-badger')
})

test('a time of today is shown without its day', () => {
  const now = new Date(2026, 2, 10, 12, 0)
  const at = (day: number): string => clockTime(new Date(2026, 2, day, 9, 5).toISOString(), now.getTime())
  expect(at(10)).toMatch(/^0?9:05( AM)?$/)
  expect(at(9)).toMatch(/Mar.*0?9:05/)
})

test.each([
  [0, '0 files'],
  [1, '1 file'],
  [2, '2 files'],
])('%d is %s', (count, words) => expect(plural(count, 'file')).toBe(words))
