import { describe, expect, test } from 'vitest'
import { cronMinutes } from './cron.ts'

const includes = (pattern: string, iso: string, zone?: string): boolean =>
  cronMinutes(pattern, zone).includes(Date.parse(iso))

describe('a pattern', () => {
  test.each([
    ['* * * * *', '2026-11-25T03:04:59Z', true],
    ['* 8-17 * * 1-5', '2026-11-25T08:00:00Z', true],
    ['* 8-17 * * 1-5', '2026-11-25T17:59:59Z', true],
    ['* 8-17 * * 1-5', '2026-11-25T18:00:00Z', false],
    ['* 8-17 * * 1-5', '2026-11-28T12:00:00Z', false],
    ['0,30 * * * *', '2026-11-25T09:30:10Z', true],
    ['*/15 * * * *', '2026-11-25T09:45:00Z', true],
    ['*/15 * * * *', '2026-11-25T09:46:00Z', false],
    ['10/20 * * * *', '2026-11-25T09:50:00Z', true],
    ['10/20 * * * *', '2026-11-25T09:05:00Z', false],
    ['* * 25 11 *', '2026-11-25T00:00:00Z', true],
    ['* * * 12 *', '2026-11-25T00:00:00Z', false],
    ['* * * * 0', '2026-11-29T12:00:00Z', true],
    ['* * * * 7', '2026-11-29T12:00:00Z', true],
    ['* 0 * * *', '2026-11-25T00:10:00Z', true],
  ])('%s at %s: %s', (pattern, iso, expected) => {
    expect(includes(pattern, iso)).toBe(expected)
  })

  test('matches if either day field matches when both are restricted, as in cron', () => {
    expect(includes('* * 1 * 3', '2026-11-25T12:00:00Z')).toBe(true)
    expect(includes('* * 1 * 3', '2026-12-01T12:00:00Z')).toBe(true)
    expect(includes('* * 1 * 3', '2026-11-24T12:00:00Z')).toBe(false)
  })

  test('is evaluated in its time zone, including daylight saving time', () => {
    expect(includes('* 8 * * *', '2026-07-01T06:30:00Z', 'Europe/Berlin')).toBe(true)
    expect(includes('* 8 * * *', '2026-12-01T07:30:00Z', 'Europe/Berlin')).toBe(true)
    expect(includes('* 8 * * *', '2026-12-01T06:30:00Z', 'Europe/Berlin')).toBe(false)
  })
})

describe('a wrong pattern', () => {
  test.each([
    ['* * * *', '4 fields'],
    ['60 * * * *', '"60" is not a valid minute'],
    ['* 24 * * *', '"24" is not a valid hour'],
    ['* * 0 * *', '"0" is not a valid day of the month'],
    ['* * * JAN *', '"JAN" is not a valid month'],
    ['* * * * 8', '"8" is not a valid day of the week'],
    ['5-1 * * * *', '"5-1" is not a valid minute'],
    ['*/0 * * * *', '"*/0" is not a valid minute'],
    ['', '1 fields'],
  ])('%s says what is wrong', (pattern, message) => {
    expect(() => cronMinutes(pattern)).toThrow(RangeError)
    expect(() => cronMinutes(pattern)).toThrow(message)
  })

  test('an unknown time zone throws too', () => {
    expect(() => cronMinutes('* * * * *', 'Mars/Olympus')).toThrow(/Mars\/Olympus/)
  })
})
