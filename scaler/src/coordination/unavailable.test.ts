import { describe, expect, test } from 'vitest'
import { ask, pairOf, type Pair } from '../../test/pair.ts'
import { gate, MINUTE } from '../../test/harness.ts'
import { settle } from '../drivers/fake/index.ts'
import type { TargetPolicy } from '../types.ts'

describe.each([
  { by: 'its own heartbeats', embedded: false },
  { by: "the embedder's members", embedded: true },
])('while the store does not answer, by $by', ({ embedded }) => {
  const pair = (policy: Partial<TargetPolicy> = {}): Promise<Pair> => pairOf(embedded, policy)

  test('an instance that is cut off serves a warm target without a pause, until the driver reports it gone', async () => {
    const { one, two, clock, scaled, wake, close } = await pair()
    ;(await wake(one, 'app')).release()
    ;(await two.activator.acquire('app')).release()
    one.connection.partition()
    let refused: number | undefined
    for (let second = 0; second < 180 && refused === undefined; second++) {
      const lease = one.activator.tryAcquire('app')
      if (!lease) refused = clock.now()
      lease?.release()
      if (!scaled().includes('app 0')) expect(lease).toBeDefined()
      await clock.advance(1_000)
    }
    // The other instance counts this one as dead, and has put its idle target to sleep.
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(one.activator.stats('app')?.phase ?? 'asleep').not.toBe('awake')
    await close()
  })

  test('an instance that is cut off serves a target that it has not used before, if the driver reports it ready', async () => {
    const { one, two, clock, wake, close } = await pair()
    one.connection.partition()
    await clock.advance(15_000)
    ;(await wake(two, 'app')).release()
    using lease = one.activator.tryAcquire('app')
    expect(lease).toBeDefined()
    await close()
  })

  test('an instance whose driver has lost its watch too sends no request, until the watch works again', async () => {
    const { one, two, driver, clock, wake, close } = await pair()
    ;(await wake(one, 'app')).release()
    ;(await wake(two, 'other')).release()
    one.connection.partition()
    await clock.advance(15_000)
    driver.current = false
    expect(two.activator.tryAcquire('app') ?? (await two.activator.acquire('app'))).toBeDefined()
    // Places are counted anew at the next look of the members.
    await clock.advance(10_000)
    const asked = [ask(one), ask(one, 'other')]
    await clock.advance(5_000)
    expect(asked).toEqual([{}, {}])
    driver.current = true
    await clock.advance(10_000)
    for (const { lease } of asked) expect(lease).toBeDefined()
    await close()
  })

  test('a request that came before the store counted as unavailable is served when it does', async () => {
    const { one, two, clock, wake, close } = await pair()
    ;(await wake(two, 'app')).release()
    one.connection.partition()
    const asked = ask(one)
    await clock.advance(4_000)
    expect(asked).toEqual({})
    await clock.advance(16_000)
    expect(asked.lease).toBeDefined()
    await close()
  })

  test('an instance that adopts a running target while the store does not answer serves it', async () => {
    const { one, driver, clock, close } = await pair()
    one.connection.partition()
    await clock.advance(15_000)
    driver.ready('app')
    await settle()
    using lease = one.activator.tryAcquire('app')
    expect(lease).toBeDefined()
    await close()
  })

  test('an instance that is cut off wakes and stops nothing, and continues when it is connected again', async () => {
    const { one, clock, scaled, driver, close } = await pair()
    one.connection.partition()
    await clock.advance(15_000)
    const asked = ask(one)
    await clock.advance(5_000)
    expect(scaled()).toEqual([])
    await expect(one.activator.sleep('app')).resolves.toBe(false)
    const retired = one.activator.retire('other', { signal: AbortSignal.abort() })
    const refused = expect(retired).rejects.toThrow('did not answer')
    await clock.advance(5_000)
    await refused
    expect(scaled()).toEqual([])
    one.connection.heal()
    await clock.advance(5_000)
    expect(scaled()).toEqual(['app 1'])
    driver.ready('app')
    await settle()
    expect(asked.lease).toBeDefined()
    await close()
  })

  test('a request for a sleeping target at an instance that is cut off is refused after the readiness timeout, and the target is not to blame', async () => {
    const { one, clock, close } = await pair()
    one.connection.partition()
    await clock.advance(15_000)
    const asked = ask(one)
    await clock.advance(MINUTE)
    expect(asked.error).toMatchObject({ code: 'SCALER_CUT_OFF' })
    expect(one.told.filter((line) => line.startsWith('failed'))).toEqual([])
    await close()
  })

  test('the places last granted are kept while the store does not answer, and not exceeded', async () => {
    const { one, two, clock, wake, close } = await pair({ concurrency: 3 })
    const held = [await wake(one, 'app')]
    held.push(await one.activator.acquire('app'))
    ;(await two.activator.acquire('app')).release()
    for (const lease of held) lease.release()
    one.connection.partition()
    await clock.advance(15_000)
    const leases = [1, 2, 3].map(() => one.activator.tryAcquire('app'))
    expect(leases.filter(Boolean)).toHaveLength(2)
    for (const lease of leases) lease?.release()
    await close()
  })

  test('a share is renewed without a pause when the store answers again', async () => {
    const { one, two, clock, wake, close } = await pair()
    const lease = await wake(one, 'app')
    ;(await two.activator.acquire('app')).release()
    one.connection.partition()
    await clock.advance(15_000)
    one.connection.latency = () => 300
    one.connection.heal()
    for (let step = 0; step < 100; step++) {
      const each = one.activator.tryAcquire('app')
      expect(each).toBeDefined()
      each?.release()
      await clock.advance(100)
    }
    one.connection.latency = () => 0
    await clock.advance(MINUTE)
    expect(await two.activator.sleep('app')).toBe(false)
    lease.release()
    await close()
  })

  test('an instance whose share is gone from the ledger stops at once, although it cannot write', async () => {
    const { one, two, clock, wake, close } = await pair({ idleTimeout: 60 * MINUTE })
    ;(await wake(one, 'app')).release()
    one.connection.partition('writes')
    await clock.advance(15_000)
    one.activator.tryAcquire('app')!.release()
    await clock.advance(30_000)
    // The other instance counts this one as dead. Its next update removes the share.
    ;(await two.activator.acquire('app')).release()
    await settle()
    expect(one.activator.tryAcquire('app')).toBeUndefined()
    await close()
  })

  test('an instance that hears that another puts the target to sleep does not use it, although it cannot write', async () => {
    const { one, two, driver, clock, wake, close } = await pair()
    ;(await wake(two, 'app')).release()
    one.connection.partition('writes')
    await clock.advance(15_000)
    one.activator.tryAcquire('app')!.release()
    const accepted = gate()
    driver.lingers = true
    driver.onScale = (call) => (call.replicas === 0 ? accepted.passed : undefined)
    const slept = two.activator.sleep('app')
    await settle()
    expect(one.activator.tryAcquire('app')).toBeUndefined()
    accepted.open()
    expect(await slept).toBe(true)
    await close()
  })

  describe('after its process was stopped for a while', () => {
    /** Stops the first instance's process for 25 s, and lets it continue without any of its timers having run. */
    async function stopFor(seconds: number, { one, clock }: Pair): Promise<void> {
      one.clock.stop()
      one.connection.partition()
      await clock.advance(seconds * 1_000)
    }

    test('no request is sent on a lock that others may have taken over', async () => {
      const both = await pair()
      const { one, two, driver, scaled, wake, close } = both
      ;(await wake(one, 'app')).release()
      driver.lingers = true
      await stopFor(25, both)
      expect(await two.activator.sleep('app')).toBe(true)
      // The request comes first: neither timers nor notifications have been handled.
      expect(one.activator.tryAcquire('app')).toBeUndefined()
      const asked = ask(one)
      one.connection.heal()
      one.clock.continue()
      await settle()
      await both.clock.advance(5_000)
      expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
      driver.ready('app')
      await settle()
      expect(asked.lease).toBeDefined()
      await close()
    })

    test('a request waits until the share is renewed, not only until the instance is alive again', async () => {
      const both = await pair()
      const { one, two, driver, clock, wake, close } = both
      ;(await wake(one, 'app')).release()
      driver.lingers = true
      await stopFor(30, both)
      // The news of the sleep is late.
      expect(await two.activator.sleep('app')).toBe(true)
      one.connection.heal('writes', 'answers')
      one.connection.latency = () => 50
      one.clock.continue()
      for (let step = 0; step < 100; step++) {
        expect(one.activator.tryAcquire('app')).toBeUndefined()
        await clock.advance(20)
      }
      one.connection.latency = () => 0
      await close()
    })

    test('it is served as soon as the store has answered', async () => {
      const both = await pair()
      const { one, wake, close } = both
      ;(await wake(one, 'app')).release()
      await stopFor(10, both)
      const asked = ask(one)
      await settle()
      expect(asked).toEqual({})
      one.connection.heal()
      one.clock.continue()
      await settle()
      expect(asked.lease).toBeDefined()
      await close()
    })

    test('a request is served after four seconds if the store does not answer', async () => {
      const both = await pair()
      const { one, clock, wake, close } = both
      ;(await wake(one, 'app')).release()
      await stopFor(25, both)
      const asked = ask(one)
      one.clock.continue()
      await clock.advance(3_900)
      expect(asked).toEqual({})
      await clock.advance(200)
      expect(asked.lease).toBeDefined()
      await close()
    })

    test('a report of the driver that comes first gives no place to a waiting request', async () => {
      const both = await pair()
      const { one, two, driver, wake, close } = both
      const asked = ask(one)
      await settle()
      await stopFor(25, both)
      const lease = await wake(two, 'app')
      driver.ready('app')
      await settle()
      expect(asked).toEqual({})
      one.connection.heal()
      one.clock.continue()
      await both.clock.advance(5_000)
      expect(asked.lease).toBeDefined()
      lease.release()
      await close()
    })

    test('a place that is given back does not go to a waiting request before the store has answered', async () => {
      const both = await pair({ concurrency: 1 })
      const { one, wake, close } = both
      const first = await wake(one, 'app')
      const asked = ask(one)
      await stopFor(25, both)
      first.release()
      await settle()
      expect(asked).toEqual({})
      one.connection.heal()
      one.clock.continue()
      await both.clock.advance(5_000)
      expect(asked.lease).toBeDefined()
      await close()
    })
  })
})

test('the heartbeat of a dead instance is removed by the others, and the instance returns under a new id', async () => {
  const { one, two, clock, wake, scaled, close } = await pairOf(false)
  const alive = new Set<string>()
  const watch = await two.connection.watch((key, value) => {
    if (key.startsWith('member/member-0.')) alive[value ? 'add' : 'delete'](key)
  })
  one.connection.partition()
  await clock.advance(15_000)
  expect([...alive]).toEqual(['member/member-0.1'])
  await clock.advance(10_000)
  expect([...alive]).toEqual([])
  one.connection.heal()
  await clock.advance(10_000)
  expect([...alive]).not.toContain('member/member-0.1')
  const lease = await wake(one, 'app')
  await clock.advance(10 * MINUTE)
  expect([...alive]).toHaveLength(1)
  expect(await two.activator.sleep('app')).toBe(false)
  expect(scaled()).toEqual(['app 1'])
  lease.release()
  await watch[Symbol.asyncDispose]()
  await close()
})

test('an instance whose notifications are late removes no living instance', async () => {
  const { one, two, clock, wake, scaled, close } = await pairOf(false)
  const lease = await wake(one, 'app')
  two.connection.partition('notifications')
  await clock.advance(5 * MINUTE)
  expect(await two.activator.sleep('app')).toBe(false)
  expect(scaled()).toEqual(['app 1'])
  two.connection.heal()
  await clock.advance(5_000)
  expect(one.activator.tryAcquire('app')).toBeDefined()
  lease.release()
  await close()
})
