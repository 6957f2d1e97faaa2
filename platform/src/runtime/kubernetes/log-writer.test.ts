import { FakeClock } from '@fp/scaler/fake'
import { beforeEach, expect, test } from 'vitest'
import type { PodLine } from './log-store.ts'
import { LogWriter } from './log-writer.ts'

let clock: FakeClock
let kept: string[]
/** What each of the first writes waits for. Later ones do not wait. */
let writes: Promise<void>[]
let failures: string[]
let writer: LogWriter

beforeEach(() => {
  clock = new FakeClock()
  kept = []
  writes = []
  failures = []
  const append = async (lines: readonly PodLine[]): Promise<void> => {
    await writes.shift()
    kept.push(lines.map(({ stamp }) => stamp).join(' '))
  }
  writer = new LogWriter({
    logs: { append },
    clock,
    last: undefined,
    onFailure: ({ message }) => void failures.push(message),
  })
})

const add = (stamp: string): Promise<void> => writer.add({ appId: 'a', pod: 'a-1', stamp, text: '' })

test('a line is stored a little later, together with those that arrived meanwhile', async () => {
  await add('1')
  await clock.advance(150)
  await add('2')
  expect(kept).toEqual([])
  await clock.advance(50)
  expect([kept, writer.last, clock.pending]).toEqual([['1 2'], '2', 0])
})

test('a full batch is stored at once, and reading waits for it', async () => {
  const held = Promise.withResolvers<void>()
  writes.push(held.promise)
  for (let number = 1; number < 200; number++) await add(String(number))
  let read = false
  const last = add('200').then(() => (read = true))
  await clock.advance(1_000)
  expect([read, kept]).toEqual([false, []])
  held.resolve()
  await last
  expect(kept).toHaveLength(1)
  expect(clock.pending).toBe(0)
})

test('writes go one after the other', async () => {
  const held = Promise.withResolvers<void>()
  writes.push(held.promise)
  await add('1')
  await clock.advance(200)
  await add('2')
  await clock.advance(200)
  expect(kept).toEqual([])
  held.resolve()
  await writer.flush()
  expect(kept).toEqual(['1', '2'])
})

test('after a failed write no line is stored, so that reading continues there', async () => {
  const held = Promise.withResolvers<void>()
  await add('1')
  await writer.flush()
  writes.push(held.promise)
  await add('2')
  await clock.advance(200)
  await add('3')
  await clock.advance(200)
  held.reject(new Error('the database is away'))
  await add('4')
  await writer.flush()
  expect([kept, writer.last, failures]).toEqual([['1'], '1', ['the database is away']])
})
