import { ApiError } from '@fp/sdk/client'
import { flushSync } from 'svelte'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { toasts } from './toasts.svelte.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  for (const { id } of toasts.items) toasts.close(id)
  vi.useRealTimers()
})

const texts = (): string[] => toasts.items.map(({ text }) => text)

test('toasts close automatically, errors later than other messages', () => {
  const seen: string[][] = []
  const stop = $effect.root(() => {
    $effect(() => void seen.push(texts()))
  })
  flushSync()
  toasts.info('Saved')
  toasts.error(new Error('It broke.'))
  flushSync()
  vi.advanceTimersByTime(4_000)
  flushSync()
  vi.advanceTimersByTime(6_000)
  flushSync()
  expect(seen).toEqual([[], ['Saved', 'It broke.'], ['It broke.'], []])
  stop()
})

test('a toast that is being read stays open until the person leaves it', () => {
  toasts.info('Read me')
  const [toast] = toasts.items
  vi.advanceTimersByTime(3_999)
  toasts.hold(toast!.id)
  vi.advanceTimersByTime(60_000)
  expect(texts()).toEqual(['Read me'])
  toasts.release(toast!)
  vi.advanceTimersByTime(4_000)
  expect(texts()).toEqual([])
})

test('the same text is shown once, and at most three are shown', () => {
  for (const text of ['a', 'b', 'a', 'c', 'd']) toasts.info(text)
  expect(texts()).toEqual(['a', 'c', 'd'])
})

test('an error says what failed, why, and which request it was; an abort says nothing', () => {
  const refused = new ApiError({
    status: 409,
    code: 'FP_APP_BUSY',
    message: 'It is busy.',
    request_id: 'req_1',
  })
  toasts.error(refused, 'The app was not put to sleep')
  toasts.error(new DOMException('stop', 'AbortError'))
  expect(toasts.items).toMatchObject([
    { text: 'The app was not put to sleep. It is busy.', request_id: 'req_1', kind: 'error' },
  ])
})
