import { expect, test } from 'vitest'
import { padded, stamped } from './log-lines.ts'

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
