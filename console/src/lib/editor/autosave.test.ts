import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createAutosave, type Autosave } from './autosave.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** An autosave whose saves the test finishes by hand. */
function setup(): { autosave: Autosave; saves: PromiseWithResolvers<void>[] } {
  const saves: PromiseWithResolvers<void>[] = []
  const save = (): Promise<void> => {
    const deferred = Promise.withResolvers<void>()
    saves.push(deferred)
    return deferred.promise
  }
  return { autosave: createAutosave({ save, delay: 100, maxDelay: 300, retryDelay: 1000 }), saves }
}

test('saves once after the last change', async () => {
  const { autosave, saves } = setup()
  autosave.touch()
  await vi.advanceTimersByTimeAsync(90)
  autosave.touch()
  await vi.advanceTimersByTimeAsync(90)
  expect(saves).toHaveLength(0)
  await vi.advanceTimersByTimeAsync(10)
  expect(saves).toHaveLength(1)
})

test('does not wait for ever while someone types', async () => {
  const { autosave, saves } = setup()
  for (let i = 0; i < 6; i++) {
    autosave.touch()
    await vi.advanceTimersByTimeAsync(60)
  }
  expect(saves).toHaveLength(1)
})

test('never runs two saves at once, and saves what changed meanwhile', async () => {
  const { autosave, saves } = setup()
  autosave.touch()
  const first = autosave.flush()
  await vi.advanceTimersByTimeAsync(0)
  autosave.touch()
  const second = autosave.flush()
  await vi.advanceTimersByTimeAsync(1000)
  expect(saves).toHaveLength(1)
  saves[0]?.resolve()
  await first
  await vi.advanceTimersByTimeAsync(0)
  expect(saves).toHaveLength(2)
  saves[1]?.resolve()
  await second
  await vi.advanceTimersByTimeAsync(5000)
  expect(saves).toHaveLength(2)
})

test('a failed save is reported, and tried again automatically', async () => {
  const { autosave, saves } = setup()
  autosave.touch()
  await vi.advanceTimersByTimeAsync(100)
  saves[0]?.reject(new Error('offline'))
  await vi.advanceTimersByTimeAsync(1000)
  expect(saves).toHaveLength(2)
  saves[1]?.resolve()
  await vi.advanceTimersByTimeAsync(5000)
  expect(saves).toHaveLength(2)
  autosave.touch()
  const flush = autosave.flush()
  await vi.advanceTimersByTimeAsync(0)
  saves[2]?.reject(new Error('offline'))
  await expect(flush).rejects.toThrow('offline')
  autosave.stop()
})
