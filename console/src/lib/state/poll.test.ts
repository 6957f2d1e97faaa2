import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { openPage } from '../../../test/page.ts'
import { poll } from './poll.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('polls after each interval, and pauses while the page is hidden', async () => {
  const page = openPage()
  const run = vi.fn(async () => undefined)
  onTestFinished(poll(run, () => 1000))
  await vi.advanceTimersByTimeAsync(2000)
  expect(run).toHaveBeenCalledTimes(2)
  page.look(false)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(run).toHaveBeenCalledTimes(3)
  page.look(true)
  expect(run).toHaveBeenCalledTimes(4)
})

test('never polls twice at once, and continues after a failure', async () => {
  const page = openPage()
  const turns: PromiseWithResolvers<void>[] = []
  const stop = poll(
    () => {
      const turn = Promise.withResolvers<void>()
      turns.push(turn)
      return turn.promise.catch(() => undefined)
    },
    () => 1000,
  )
  onTestFinished(stop)
  await vi.advanceTimersByTimeAsync(1000)
  page.look(true)
  expect(turns).toHaveLength(1)
  turns[0]!.reject(new Error('offline'))
  await vi.advanceTimersByTimeAsync(1000)
  expect(turns).toHaveLength(2)
  stop()
  turns[1]!.resolve()
  await vi.advanceTimersByTimeAsync(10_000)
  page.look(true)
  expect(turns).toHaveLength(2)
})
