import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { Breaker, type EnterOptions } from './breaker.ts'
import { FakeClock, settle } from './drivers/fake/index.ts'
import type { ScalerError } from './errors.ts'

interface Entry {
  readonly promise: Promise<() => void>
  leave: (() => void) | undefined
  error: unknown
}

function breakerOf(limits: { depth?: number; bytes?: number; wait?: number } = {}) {
  const clock = new FakeClock()
  const breaker = new Breaker(() => ({ depth: 1_000, bytes: Infinity, wait: 0, ...limits }), clock)
  const grants: string[] = []
  function enter(name = '', options: EnterOptions = {}): Entry {
    const promise = breaker.enter(options, () => void grants.push(name)).then(() => () => breaker.leave())
    const entry: Entry = { promise, leave: undefined, error: undefined }
    promise.then(
      (leave) => (entry.leave = leave),
      (error: unknown) => (entry.error = error),
    )
    return entry
  }
  return { breaker, enter, grants, clock }
}

const code = (entry: Entry | undefined): string | undefined => (entry?.error as ScalerError | undefined)?.code

describe('capacity', () => {
  test('0 makes all requests wait', async () => {
    const { breaker, enter, grants } = breakerOf()
    enter('a')
    enter('b')
    await settle()
    expect(grants).toEqual([])
    expect(breaker.queued).toBe(2)
  })

  test('grants as many waiting requests as the capacity grows', async () => {
    const { breaker, enter, grants } = breakerOf()
    for (const name of ['a', 'b', 'c', 'd']) enter(name)
    breaker.setCapacity(1)
    await settle()
    expect(grants).toEqual(['a'])
    breaker.setCapacity(3)
    await settle()
    expect(grants).toEqual(['a', 'b', 'c'])
    expect(breaker.queued).toBe(1)
  })

  test('when reduced, does not interrupt running requests, and grants no place until fewer are running', async () => {
    const { breaker, enter, grants } = breakerOf()
    breaker.setCapacity(3)
    const running = ['a', 'b', 'c'].map((name) => enter(name))
    await settle()
    breaker.setCapacity(1)
    enter('d')
    running[0]?.leave?.()
    running[1]?.leave?.()
    await settle()
    expect(grants).toEqual(['a', 'b', 'c'])
    running[2]?.leave?.()
    await settle()
    expect(grants).toEqual(['a', 'b', 'c', 'd'])
  })

  test('reduced to 0 and restored, keeps held places', async () => {
    const { breaker, enter, grants } = breakerOf()
    breaker.setCapacity(1)
    const first = enter('a')
    await settle()
    breaker.setCapacity(0)
    enter('b')
    await settle()
    breaker.setCapacity(1)
    await settle()
    expect(grants).toEqual(['a'])
    first.leave?.()
    await settle()
    expect(grants).toEqual(['a', 'b'])
  })

  test('Infinity grants all requests at once; a later limit applies again', async () => {
    const { breaker, enter, grants } = breakerOf()
    const entries = Array.from({ length: 100 }, () => enter())
    breaker.setCapacity(Infinity)
    await settle()
    expect(grants).toHaveLength(100)
    expect(breaker.queued).toBe(0)
    breaker.setCapacity(1)
    enter()
    for (const entry of entries) entry.leave?.()
    await settle()
    expect(grants).toHaveLength(101)
    enter()
    await settle()
    expect(breaker.queued).toBe(1)
  })
})

describe('queue', () => {
  test('is first in, first out, even for a request that arrives when a place becomes free', async () => {
    const { breaker, enter, grants } = breakerOf()
    breaker.setCapacity(1)
    const first = enter('a')
    await settle()
    enter('b')
    first.leave?.()
    enter('c')
    await settle()
    expect(grants).toEqual(['a', 'b'])
    expect(breaker.queued).toBe(1)
  })

  test('refuses a request above its depth with a Retry-After', async () => {
    const { breaker, enter } = breakerOf({ depth: 2 })
    enter()
    enter()
    const third = enter()
    await settle()
    expect(third.error).toMatchObject({ code: 'SCALER_QUEUE_FULL', statusCode: 503, retryAfter: 1 })
    expect(breaker.queued).toBe(2)
  })

  test('refuses bytes above its limit, and does not count the bytes of a refused request', async () => {
    const { enter } = breakerOf({ bytes: 100 })
    enter('a', { bytes: 60 })
    const tooMuch = enter('b', { bytes: 41 })
    const fits = enter('c', { bytes: 40 })
    const full = enter('d', { bytes: 1 })
    const empty = enter('e')
    await settle()
    expect([tooMuch, fits, full, empty].map(code)).toEqual([
      'SCALER_QUEUE_FULL',
      undefined,
      'SCALER_QUEUE_FULL',
      undefined,
    ])
  })

  test('lets a request wait that alone exceeds the byte limit, if no other waiting request has bytes', async () => {
    const { enter } = breakerOf({ bytes: 100 })
    enter('empty')
    const large = enter('large', { bytes: 1_000 })
    const next = enter('next', { bytes: 1 })
    await settle()
    expect([large, next].map(code)).toEqual([undefined, 'SCALER_QUEUE_FULL'])
  })

  test('frees bytes and depth synchronously at an abort, a refusal and a grant', async () => {
    const { breaker, enter } = breakerOf({ depth: 1, bytes: 10 })
    const abort = new AbortController()
    const aborted = enter('a', { bytes: 10, signal: abort.signal })
    abort.abort(new Error('gone'))
    expect(breaker.queued).toBe(0)

    const refused = enter('b', { bytes: 10 })
    breaker.refuse(new Error('refused'))
    expect(breaker.queued).toBe(0)

    const granted = enter('c', { bytes: 10 })
    breaker.setCapacity(1)
    expect(breaker.queued).toBe(0)

    const waits = enter('d', { bytes: 10 })
    const full = enter('e', { bytes: 0 })
    await settle()
    expect(aborted.error).toEqual(new Error('gone'))
    expect(refused.error).toEqual(new Error('refused'))
    expect(granted.leave).toBeDefined()
    expect(waits.error).toBeUndefined()
    expect(code(full)).toBe('SCALER_QUEUE_FULL')
  })

  test('a place that was just returned can be used: depth 0 does not refuse the next request', async () => {
    const { breaker, enter, grants } = breakerOf({ depth: 0, bytes: 0 })
    breaker.setCapacity(1)
    const first = enter('a')
    await settle()
    first.leave?.()
    const second = enter('b', { bytes: 5 })
    const third = enter('c')
    await settle()
    expect(grants).toEqual(['a', 'b'])
    expect(second.leave).toBeDefined()
    expect(code(third)).toBe('SCALER_QUEUE_FULL')
  })

  test('refuse() rejects all waiting and no running requests', async () => {
    const { breaker, enter, grants } = breakerOf()
    breaker.setCapacity(1)
    const runs = enter('a')
    const waits = [enter('b'), enter('c')]
    await settle()
    breaker.refuse(new Error('over'))
    await settle()
    expect(waits.map((entry) => entry.error)).toEqual([new Error('over'), new Error('over')])
    enter('d')
    await settle()
    expect(grants).toEqual(['a'])
    runs.leave?.()
    await settle()
    expect(grants).toEqual(['a', 'd'])
  })
})

describe('abort', () => {
  test('before entering rejects immediately, even if places are free', async () => {
    const { breaker, enter, grants } = breakerOf()
    breaker.setCapacity(1)
    const entry = enter('a', { signal: AbortSignal.abort(new Error('gone')) })
    await settle()
    expect(entry.error).toEqual(new Error('gone'))
    expect(grants).toEqual([])
  })

  test('is not listened for any more once the request has a place or was refused', async () => {
    const { breaker, enter } = breakerOf()
    const { signal } = new AbortController()
    enter('a', { signal })
    breaker.setCapacity(1)
    enter('b', { signal })
    await settle()
    breaker.refuse(new Error('over'))
    await settle()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('while waiting, leaves the queue immediately and lets the next request through', async () => {
    const { breaker, enter, grants } = breakerOf()
    const abort = new AbortController()
    enter('a', { signal: abort.signal })
    enter('b')
    abort.abort()
    expect(breaker.queued).toBe(1)
    breaker.setCapacity(1)
    await settle()
    expect(grants).toEqual(['b'])
  })

  test('in the same turn as the grant never frees a held place', async () => {
    const { breaker, enter, grants } = breakerOf()
    const abort = new AbortController()
    const first = enter('a', { signal: abort.signal })
    enter('b')
    breaker.setCapacity(1)
    abort.abort()
    await settle()
    expect(grants).toEqual(['a'])
    const leave = await first.promise
    leave()
    await settle()
    expect(grants).toEqual(['a', 'b'])
  })

  test.each([0, 1, 2, 3, 4, 5, 6])(
    '%i microtasks after the grant never frees a place that is held',
    async (turns) => {
      const { breaker, enter, grants } = breakerOf()
      const abort = new AbortController()
      const first = enter('a', { signal: abort.signal })
      enter('b')
      breaker.setCapacity(1)
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      abort.abort()
      await settle()
      expect(grants).toEqual(['a'])
      ;(await first.promise)()
      await settle()
      expect(grants).toEqual(['a', 'b'])
    },
  )
})

describe('waiting', () => {
  test('is limited only while the target is awake, and the limit begins anew when it becomes awake', async () => {
    const { breaker, enter, clock } = breakerOf({ wait: 100 })
    const waits = enter()
    await clock.advance(1_000)
    expect(waits.error).toBeUndefined()
    breaker.limitWaiting(true)
    await clock.advance(60)
    breaker.limitWaiting(false)
    await clock.advance(1_000)
    breaker.limitWaiting(true)
    await clock.advance(99)
    expect(waits.error).toBeUndefined()
    await clock.advance(1)
    expect(code(waits)).toBe('SCALER_QUEUE_TIMEOUT')
    expect([breaker.queued, clock.pending]).toEqual([0, 0])
  })

  test('ends for each request at its own limit, in whatever order they came', async () => {
    const { breaker, enter, clock } = breakerOf({ wait: 100 })
    breaker.limitWaiting(true)
    const [usual, unlimited, short] = [enter(), enter('', { wait: 0 }), enter('', { wait: 10 })]
    await clock.advance(10)
    expect([usual, unlimited, short].map(code)).toEqual([undefined, undefined, 'SCALER_QUEUE_TIMEOUT'])
    const later = enter()
    await clock.advance(90)
    expect([usual, unlimited, later].map(code)).toEqual(['SCALER_QUEUE_TIMEOUT', undefined, undefined])
    await clock.advance(10)
    expect([unlimited, later].map(code)).toEqual([undefined, 'SCALER_QUEUE_TIMEOUT'])
    expect([breaker.queued, clock.pending]).toEqual([1, 0])
  })

  test('does not begin anew when the target is said to be awake once more', async () => {
    const { breaker, enter, clock } = breakerOf({ wait: 100 })
    breaker.limitWaiting(true)
    const waits = enter()
    await clock.advance(60)
    breaker.limitWaiting(true)
    await clock.advance(40)
    expect(code(waits)).toBe('SCALER_QUEUE_TIMEOUT')
  })

  test('is still limited for the others when one request leaves the queue', async () => {
    const { breaker, enter, clock } = breakerOf({ wait: 100 })
    const abort = new AbortController()
    breaker.limitWaiting(true)
    enter('', { signal: abort.signal })
    const stays = enter()
    abort.abort()
    await clock.advance(100)
    expect(code(stays)).toBe('SCALER_QUEUE_TIMEOUT')
  })

  test('needs no timer for requests that find a free place, and leaves none behind when the queue is empty', async () => {
    const { breaker, enter, clock } = breakerOf({ wait: 100 })
    breaker.limitWaiting(true)
    breaker.setCapacity(1)
    const first = enter()
    expect(breaker.tryEnter()).toBe(false)
    await settle()
    expect(clock.pending).toBe(0)
    const second = enter()
    await settle()
    expect(clock.pending).toBe(1)
    first.leave!()
    await settle()
    expect([second.leave, clock.pending]).toEqual([expect.any(Function), 0])
    await clock.advance(1_000)
    expect(second.error).toBeUndefined()
  })
})
