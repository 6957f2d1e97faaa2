import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from './clock.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('calls once after the time', () => {
  const fn = vi.fn()
  systemClock.schedule(1_000, fn)
  vi.advanceTimersByTime(999)
  expect(fn).not.toHaveBeenCalled()
  vi.advanceTimersByTime(10_000)
  expect(fn).toHaveBeenCalledOnce()
})

test('a delay longer than the maximum of setTimeout does not fire immediately', () => {
  const fn = vi.fn()
  const days = 60 * 24 * 60 * 60 * 1_000
  systemClock.schedule(days, fn)
  vi.advanceTimersByTime(days - 1)
  expect(fn).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(fn).toHaveBeenCalledOnce()
})

test('can be cancelled, even in a later part of a long delay', () => {
  const fn = vi.fn()
  const short = systemClock.schedule(10, fn)
  short()
  const long = systemClock.schedule(3_000_000_000, fn)
  vi.advanceTimersByTime(2_500_000_000)
  long()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(3_000_000_000)
  expect(fn).not.toHaveBeenCalled()
})
