import { describe, expect, test } from 'vitest'
import type { FleetMember } from '../../test/fleet.ts'
import { gate, MINUTE } from '../../test/harness.ts'
import { ask, pairOf, type Pair } from '../../test/pair.ts'
import { settle } from '../drivers/fake/index.ts'
import type { Lease, TargetPolicy } from '../types.ts'

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
