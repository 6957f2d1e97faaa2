import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { MINUTE } from '../../test/harness.ts'
import { ask, pairOf } from '../../test/pair.ts'
import { createActivator } from '../activator.ts'
import type { Clock } from '../clock.ts'
import { FakeClock, FakeCoordination, FakeDriver, settle } from '../drivers/fake/index.ts'
import { createMemoryCoordination } from './memory.ts'
import type { Coordination } from './types.ts'

const { signal } = new AbortController()
const never = (): Promise<void> => new Promise(() => undefined)

test('a scale-down that waits for its turn while its activator is lost does not stop what another one uses', async () => {
  const pair = await pairOf(false, { idleTimeout: 30 * MINUTE })
  const { one, two, clock, driver, scaled } = pair
  const busy = Array.from({ length: 8 }, (_, index) => `busy${index}`)
  for (const key of [...busy, 'app']) (await pair.wake(one, key)).release()
  driver.onScale = ({ key, replicas }) => (replicas === 0 && key.startsWith('busy') ? never() : undefined)
  for (const key of busy) one.activator.sleep(key).catch(() => undefined)
  await settle()
  // It has the exclusive lock, and waits for its turn.
  one.activator.sleep('app').catch(() => undefined)
  await clock.advance(500)
  one.connection.partition()
  await clock.advance(25_000)
  // The first one counts as dead by now.
  const asked = ask(two)
  await clock.advance(1_000)
  expect(asked.lease).toBeDefined()
  one.connection.heal()
  await clock.advance(10_000)
  expect(scaled()).not.toContain('app 0')
  await pair.close()
})

/** `wall` runs on while the machine is suspended, `now` does not. */
class SuspendedClock implements Clock {
  readonly #clock: Clock
  suspended = 0
  constructor(clock: Clock) {
    this.#clock = clock
  }
  now = (): number => this.#clock.now()
  wall = (): number => this.#clock.wall() + this.suspended
  schedule = (ms: number, run: () => void): (() => void) => this.#clock.schedule(ms, run)
}

test('a step of the time of day fails no wake', async () => {
  const [driver, clock] = [new FakeDriver(), new FakeClock()]
  const own = new SuspendedClock(clock)
  const coordination = new FakeCoordination(clock).connect()
  const activator = await createActivator({ driver, clock: own, coordination, instance: 'one' })
  driver.onScale = (_call, ended) =>
    new Promise((resolve, reject) => {
      clock.schedule(5_000, resolve)
      ended.addEventListener('abort', () => reject(ended.reason as Error))
    })
  const asked = activator.acquire('app')
  await clock.advance(1_000)
  own.suspended = 7_000
  const other = activator.acquire('app')
  await clock.advance(5_000)
  driver.ready('app')
  await clock.advance(1_000)
  for (const lease of await Promise.all([asked, other])) lease.release()
  await activator.close()
})

test('after a suspension, a heartbeat that was sent before it proves nothing', async () => {
  const [driver, clock, store] = [new FakeDriver(), new FakeClock(), createMemoryCoordination()]
  const own = new SuspendedClock(clock)
  let hold: PromiseWithResolvers<void> | undefined
  const coordination: Coordination = {
    async update(key, change, options) {
      const stored = await store.update(key, change, options)
      await hold?.promise
      return stored
    },
    watch: (onChange) => store.watch((key, value) => hold ?? onChange(key, value)),
  }
  const activator = await createActivator({ driver, clock: own, coordination, instance: 'one' })
  const lease = activator.acquire('app')
  await settle()
  driver.ready('app')
  ;(await lease).release()
  await clock.advance(2_999)
  // The store executes the next heartbeat. Its answer is on the way when the machine is suspended.
  hold = Promise.withResolvers()
  await clock.advance(1)
  own.suspended = 60 * MINUTE
  await store.update('member/one.1', () => undefined, { signal })
  await store.update(
    'target/app',
    (now) => ({ ...now, shares: {}, leader: null, exclusive: { id: 'two.1' } }),
    {
      signal,
    },
  )
  expect(activator.tryAcquire('app')).toBeUndefined()
  const { resolve } = hold
  hold = undefined
  resolve()
  await settle()
  expect(activator.tryAcquire('app')).toBeUndefined()
})

test('an idle target with several replicas writes nothing to the store', async () => {
  const pair = await pairOf(false, { minReplicas: 2, maxReplicas: 3, idleTimeout: 30 * MINUTE })
  const { one, two, clock } = pair
  ;(await pair.wake(one, 'app', 2)).release()
  ;(await two.activator.acquire('app')).release()
  await clock.advance(2 * MINUTE)
  const changed: string[] = []
  await one.connection.watch((key) => changed.push(key))
  changed.length = 0
  await clock.advance(MINUTE)
  expect(changed.filter((key) => key.startsWith('target/'))).toEqual([])
  await pair.close()
})

test('retire() leaves no listener at its signal', async () => {
  const pair = await pairOf(false)
  const { signal: own } = new AbortController()
  ;(await pair.wake(pair.one, 'app')).release()
  await pair.one.activator.retire('app', { signal: own })
  expect(getEventListeners(own, 'abort')).toEqual([])
  await pair.close()
})

test('an activator that cannot watch its driver leaves no timer and no heartbeat', async () => {
  const [driver, clock] = [new FakeDriver(), new FakeClock()]
  const coordination = new FakeCoordination(clock).connect()
  driver.watch = () => Promise.reject(new Error('no watch'))
  const options = { driver, clock, coordination, awake: { pressure: () => 0 } }
  await expect(createActivator(options)).rejects.toThrow('no watch')
  await clock.advance(MINUTE)
  expect(clock.pending).toBe(0)
})
