import { flushSync } from 'svelte'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clock } from './clock.svelte.ts'

beforeEach(() => void vi.useFakeTimers({ now: 0 }))
afterEach(() => void vi.useRealTimers())

test('ticks while something shows a time, and not after', async () => {
  const shown: number[] = []
  const stop = $effect.root(() => {
    $effect(() => void shown.push(clock.now))
  })
  flushSync()
  for (let n = 0; n < 2; n++) {
    vi.advanceTimersByTime(15_000)
    flushSync()
  }
  expect(shown).toEqual([0, 15_000, 30_000])
  stop()
  // Svelte ends the subscription a little later.
  await Promise.resolve()
  vi.advanceTimersByTime(60_000)
  expect([shown.length, vi.getTimerCount()]).toEqual([3, 0])
})
