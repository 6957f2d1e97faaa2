import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { FakeClock, settle } from '../drivers/fake/index.ts'
import { outdated } from '../errors.ts'
import { BoundedStore } from './bounded-store.ts'
import { createMemoryCoordination } from './memory.ts'
import type { Coordination } from './types.ts'

type Update = Coordination['update']

/** A store whose next updates do what `act` does; without it, they succeed. */
function storeOf() {
  const clock = new FakeClock()
  const memory = createMemoryCoordination()
  const behaviour: { act: Update | undefined } = { act: undefined }
  const coordination: Coordination = {
    ...memory,
    update: (...args) => (behaviour.act ?? memory.update)(...args) as never,
  }
  const store = new BoundedStore(coordination, clock)
  const write = (signal?: AbortSignal) => store.update('key', () => ({ written: true }), signal)
  return { clock, memory, behaviour, store, write }
}

const fails: Update = () => Promise.reject(new Error('no connection'))
const hangs: Update = () => new Promise(() => undefined)

test('an update that gets no answer is rejected after five seconds, and its signal aborts', async () => {
  const { clock, behaviour, write } = storeOf()
  let signal: AbortSignal | undefined
  behaviour.act = (_key, _change, options) => {
    signal = options.signal
    return new Promise(() => undefined)
  }
  const result = write().catch((error: Error) => error.message)
  await clock.advance(4_999)
  expect(signal?.aborted).toBe(false)
  await clock.advance(1)
  expect(await result).toBe('The coordination did not answer within 5 s.')
  expect(signal?.aborted).toBe(true)
})

test('an update that was given up changes nothing any more', async () => {
  const { clock, memory, behaviour, write } = storeOf()
  const late = Promise.withResolvers<void>()
  behaviour.act = async (key, change) => {
    await late.promise
    return memory.update(key, change, { signal: new AbortController().signal })
  }
  const result = write().catch(() => 'given up')
  await clock.advance(5_000)
  expect(await result).toBe('given up')
  late.resolve()
  await settle()
  expect(await memory.update('key', (now) => now, { signal: new AbortController().signal })).toBeUndefined()
})

test('an update ends when its signal aborts, and leaves no timer and no listener', async () => {
  const { clock, behaviour, write } = storeOf()
  const abort = new AbortController()
  expect(await write(abort.signal)).toEqual({ written: true })
  expect([clock.pending, getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0])
  behaviour.act = hangs
  const result = write(abort.signal).catch(() => 'ended')
  await settle()
  abort.abort()
  expect(await result).toBe('ended')
  expect([clock.pending, getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0])
})

test('the store counts as silent after two failures in a row', async () => {
  const { behaviour, store, write } = storeOf()
  behaviour.act = fails
  await expect(write()).rejects.toThrow('no connection')
  expect(store.isSilent).toBe(false)
  behaviour.act = undefined
  await write()
  behaviour.act = fails
  await write().catch(() => undefined)
  expect(store.isSilent).toBe(false)
  await write().catch(() => undefined)
  expect(store.isSilent).toBe(true)
  behaviour.act = undefined
  await write()
  expect(store.isSilent).toBe(false)
})

test.each(['a later success', 'a pause of the process'])(
  'failures of updates that were sent before %s do not count',
  async (event) => {
    const { clock, behaviour, store, write } = storeOf()
    behaviour.act = hangs
    const old = [write(), write()].map((update) => update.catch(() => 'failed'))
    behaviour.act = undefined
    if (event === 'a later success') await write()
    else store.excuse()
    await clock.advance(5_000)
    expect(await Promise.all(old)).toEqual(['failed', 'failed'])
    expect(store.isSilent).toBe(false)
  },
)

test('a pause of the process excuses earlier failures', async () => {
  const { behaviour, store, write } = storeOf()
  behaviour.act = fails
  await Promise.allSettled([write(), write()])
  expect(store.isSilent).toBe(true)
  store.excuse()
  expect(store.isSilent).toBe(false)
})

test('a change that refuses a document is no failure of the store', async () => {
  const { store } = storeOf()
  const refuse = (): never => {
    throw outdated()
  }
  const results = [store.update('key', refuse), store.update('key', refuse)]
  for (const { status } of await Promise.allSettled(results)) expect(status).toBe('rejected')
  expect(store.isSilent).toBe(false)
})
