import { describe, expect, test } from 'vitest'
import { fleet, type Fleet, type FleetMember } from '../../test/fleet.ts'
import { gate, MINUTE } from '../../test/harness.ts'
import { settle } from '../drivers/fake/index.ts'
import type { Lease, TargetPolicy } from '../types.ts'

type Pair = Fleet & { readonly one: FleetMember; readonly two: FleetMember }

async function pairOf(embedded: boolean, policy: Partial<TargetPolicy> = {}): Promise<Pair> {
  const both = await fleet(2, { idleTimeout: MINUTE, ...policy }, { embedded })
  return { ...both, one: both.members[0]!, two: both.members[1]! }
}

/** The state of a pending `acquire`. */
function ask({ activator }: FleetMember, key = 'app'): { lease?: Lease; error?: unknown } {
  const asked: { lease?: Lease; error?: unknown } = {}
  activator.acquire(key).then(
    (lease) => (asked.lease = lease),
    (error: unknown) => (asked.error = error),
  )
  return asked
}

/** Simulates the end of a process: the activator is closed, and its member leaves. */
async function leave({ activator, connection }: FleetMember): Promise<void> {
  await activator.close({ signal: AbortSignal.abort() })
  connection.members?.[Symbol.dispose]()
}

describe.each([
  { by: 'its own heartbeats', embedded: false },
  { by: "the embedder's members", embedded: true },
])('by $by', ({ embedded }) => {
  const pair = (policy: Partial<TargetPolicy> = {}): Promise<Pair> => pairOf(embedded, policy)

  describe('no instance puts a target to sleep that another instance uses', () => {
    test('a target without leases at one instance stays awake while the other holds a lease', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      const lease = await two.activator.acquire('app')
      await clock.advance(10 * MINUTE)
      expect(scaled()).toEqual(['app 1'])
      lease.release()
      await clock.advance(2 * MINUTE)
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

    test('sleep() resolves to false while the other instance uses the target', async () => {
      const { one, two, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      const lease = await two.activator.acquire('app')
      expect(await one.activator.sleep('app')).toBe(false)
      expect(scaled()).toEqual(['app 1'])
      // The instance has only released its shared lock, and can acquire it again.
      ;(await one.activator.acquire('app')).release()
      lease.release()
      await close()
    })

    test('a target that nobody uses is scaled down once', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      ;(await two.activator.acquire('app')).release()
      await clock.advance(3 * MINUTE)
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

    test('a request at the other instance waits during a scale-down, and then wakes the target again', async () => {
      const { one, two, driver, scaled, wake, close } = await pair()
      const dying = await wake(one, 'app')
      dying.release()
      const accepted = gate()
      driver.lingers = true
      driver.onScale = (call) => (call.replicas === 0 ? accepted.passed : undefined)
      const slept = one.activator.sleep('app')
      await settle()
      const asked = ask(two)
      await settle()
      expect(asked).toEqual({})
      expect(scaled()).toEqual(['app 1', 'app 0'])
      accepted.open()
      expect(await slept).toBe(true)
      await settle()
      expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
      const [fresh] = driver.ready('app')
      await settle()
      expect(asked.lease?.endpoint.id).toBe(fresh?.id)
      await close()
    })

    test('an endpoint that one instance has stopped is never used by the other, even if late reports list it', async () => {
      const { one, two, driver, wake, close } = await pair()
      const lease = await wake(one, 'app')
      lease.release()
      driver.lingers = true
      expect(await one.activator.sleep('app')).toBe(true)
      // The driver still reports the endpoint to both instances.
      const asked = ask(two)
      await settle()
      expect(asked).toEqual({})
      const [fresh] = driver.ready('app')
      await settle()
      expect(asked.lease?.endpoint.id).toBe(fresh?.id)
      await close()
    })

    test('an instance that cannot reach the store puts nothing to sleep', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      const lease = await two.activator.acquire('app')
      one.connection.partition()
      await clock.advance(10 * MINUTE)
      expect(scaled()).toEqual(['app 1'])
      expect(one.told.some((line) => line.startsWith('error'))).toBe(true)
      one.connection.heal()
      lease.release()
      await clock.advance(3 * MINUTE)
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

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

    test('a request for a sleeping target at an instance that is cut off fails after the readiness timeout', async () => {
      const { one, clock, close } = await pair()
      one.connection.partition()
      await clock.advance(15_000)
      const asked = ask(one)
      await clock.advance(MINUTE)
      expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
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

      test('a request is served after two seconds if the store does not answer', async () => {
        const both = await pair()
        const { one, clock, wake, close } = both
        ;(await wake(one, 'app')).release()
        await stopFor(25, both)
        const asked = ask(one)
        one.clock.continue()
        await clock.advance(1_900)
        expect(asked).toEqual({})
        await clock.advance(200)
        expect(asked.lease).toBeDefined()
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

    test('a target that only a dead instance used goes to sleep when the others find it idle', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      await wake(one, 'app')
      one.connection.partition()
      ;(await two.activator.acquire('app')).release()
      await clock.advance(3 * MINUTE)
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

    test('the others do not wait for an instance that has left', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      await wake(one, 'app')
      await leave(one)
      ;(await two.activator.acquire('app')).release()
      await clock.advance(MINUTE)
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

    test('a lost result of an update leaves no lock behind', async () => {
      const { one, two, clock, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      let lost = 0
      one.connection.loses = () => lost++ === 0
      const slept = one.activator.sleep('app').catch(() => 'unknown')
      await clock.advance(5_000)
      expect(await slept).toBe('unknown')
      const asked = ask(two)
      await clock.advance(10_000)
      expect(asked.lease).toBeDefined()
      expect(scaled()).toEqual(['app 1'])
      await close()
    })
  })

  describe('retire', () => {
    test('applies to all instances: the other refuses new requests, and retire() waits for its last lease', async () => {
      const { one, two, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      const lease = await two.activator.acquire('app')
      const retired = one.activator.retire('app')
      await settle()
      const comes = ask(two)
      await settle()
      expect(comes.error).toMatchObject({ code: 'SCALER_RETIRED' })
      expect(scaled()).toEqual(['app 1'])
      lease.release()
      await retired
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })

    test('stops waiting for the others when its signal aborts', async () => {
      const { one, two, scaled, wake, close } = await pair()
      ;(await wake(one, 'app')).release()
      await two.activator.acquire('app')
      const deadline = new AbortController()
      const retired = one.activator.retire('app', { signal: deadline.signal })
      await settle()
      deadline.abort()
      await retired
      expect(scaled()).toEqual(['app 1', 'app 0'])
      await close()
    })
  })

  test('a target whose retiring instance has died is put to sleep by another, and gets no requests', async () => {
    const { one, two, clock, scaled, wake, close } = await pair()
    ;(await wake(one, 'app')).release()
    const lease = await two.activator.acquire('app')
    void one.activator.retire('app').catch(() => undefined)
    await settle()
    one.connection.partition()
    expect(two.activator.tryAcquire('app')).toBeUndefined()
    lease.release()
    await clock.advance(3 * MINUTE)
    expect(scaled()).toContain('app 0')
    await close()
  })

  describe('capacity is shared', () => {
    test('two instances together never exceed the concurrency of an endpoint', async () => {
      const { one, two, wake, close } = await pair({ concurrency: 2 })
      const first = await wake(one, 'app')
      const asked = [ask(one), ask(two), ask(two), ask(one)]
      await settle()
      const granted = (): number => asked.filter(({ lease }) => lease).length
      expect(granted()).toBe(1)
      first.release()
      await settle()
      expect(granted()).toBe(2)
      await close()
    })

    test('a request that comes while places are being requested gets one too', async () => {
      const { one, two, wake, close } = await pair({ concurrency: 3 })
      await wake(one, 'app')
      const second = ask(one)
      await settle()
      expect(second.lease).toBeDefined()
      const third = ask(two)
      await settle()
      expect(third.lease).toBeDefined()
      await close()
    })

    test('an instance that always has waiting requests lets the other have its turn', async () => {
      const { one, two, wake, close } = await pair({ concurrency: 1 })
      let held: Lease = await wake(one, 'app')
      const other = ask(two)
      await settle()
      expect(other.lease).toBeUndefined()
      const mine = [ask(one), ask(one), ask(one)]
      for (let turn = 0; turn < 2; turn++) {
        held.release()
        await settle()
        held = other.lease ?? mine.find(({ lease }) => lease)!.lease!
      }
      expect(other.lease).toBeDefined()
      other.lease?.release()
      await settle()
      expect(mine.some(({ lease }) => lease)).toBe(true)
      await close()
    })

    test('the places of an instance that has left are free again', async () => {
      const { one, two, clock, wake, close } = await pair({ concurrency: 1 })
      await wake(one, 'app')
      const asked = ask(two)
      await settle()
      expect(asked.lease).toBeUndefined()
      await leave(one)
      // The embedder's members notice it at their next heartbeat.
      await (embedded ? clock.advance(3_000) : settle())
      expect(asked.lease).toBeDefined()
      await close()
    })
  })

  describe('replicas', () => {
    const scaling: Partial<TargetPolicy> = {
      concurrency: 2,
      maxReplicas: 4,
      scaling: { targetUtilization: 1 },
    }

    test('follow the load of all instances, decided by one of them', async () => {
      const { one, two, clock, scaled, wake, close } = await pair(scaling)
      await wake(one, 'app')
      for (const member of [one, two]) for (let count = 0; count < 4; count++) ask(member)
      await clock.advance(20_000)
      expect(Math.max(...scaled().map((call) => Number(call.split(' ')[1])))).toBe(4)
      const deciders = [one, two].filter(({ told }) => told.some((line) => line.startsWith('scaled')))
      expect(deciders).toHaveLength(1)
      await close()
    })

    test('are reduced only by endpoints that no instance uses', async () => {
      const { one, two, driver, clock, scaled, close } = await pair({
        ...scaling,
        idleTimeout: 60 * MINUTE,
      })
      const removed: string[] = []
      driver.onScale = ({ remove }) => void removed.push(...(remove ?? []))
      const asked = [one, two, one, two, one, two, one].map((member) => ask(member))
      await settle()
      driver.ready('app', 1)
      await clock.advance(10_000)
      driver.ready('app', 4)
      await settle()
      const leases = asked.map(({ lease }) => lease!)
      const kept = leases.filter((_, index) => index % 2 === 1).slice(0, 2)
      for (const lease of leases) if (!kept.includes(lease)) lease.release()
      await clock.advance(10 * MINUTE)
      expect(removed.length).toBeGreaterThan(0)
      for (const { endpoint } of kept) expect(removed).not.toContain(endpoint.id)
      expect(scaled().every((call) => !call.endsWith(' 0'))).toBe(true)
      await close()
    })
  })

  test('closed instances leave no timer and no watcher', async () => {
    const { one, two, clock, driver, wake, close } = await pair()
    ;(await wake(one, 'app')).release()
    ;(await two.activator.acquire('app')).release()
    await close()
    expect(clock.pending).toBe(0)
    expect(driver.watchers).toBe(0)
  })

  test('the locks of an instance that was cut off and is connected again are respected, and old locks are removed', async () => {
    const { one, two, clock, scaled, wake, close } = await pair()
    const lease = await wake(one, 'app')
    const before = one.connection.members?.id
    one.connection.partition()
    await clock.advance(15_000)
    one.connection.heal()
    await clock.advance(10_000)
    if (embedded) expect(one.connection.members!.id).not.toBe(before)
    // The request from before the interruption still keeps the target awake.
    expect(await two.activator.sleep('app')).toBe(false)
    await clock.advance(10 * MINUTE)
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    await clock.advance(3 * MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    await close()
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
