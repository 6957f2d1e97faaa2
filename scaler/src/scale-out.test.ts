import { describe, expect, test } from 'vitest'
import { MINUTE, rig, type Rig } from '../test/harness.ts'
import { DEFAULT_POLICY as BASE } from './activator.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'
import type { Lease, TargetPolicy } from './types.ts'

const POLICY: Partial<TargetPolicy> = {
  concurrency: 10,
  maxReplicas: 5,
  idleTimeout: 60 * MINUTE,
  scaling: { targetUtilization: 1 },
}

/** A driver that immediately has as many ready replicas as requested. */
class WillingDriver extends FakeDriver {
  readonly removed: string[] = []

  override async scale(...[key, replicas, options]: Parameters<FakeDriver['scale']>): Promise<void> {
    await super.scale(key, replicas, options)
    this.removed.push(...(options.remove ?? []))
    this.grow(key, replicas)
  }
}

async function scene(policy: Partial<TargetPolicy> = {}): Promise<Rig & { driver: WillingDriver }> {
  const driver = new WillingDriver()
  return { ...(await rig({ ...POLICY, ...policy }, { driver })), driver }
}

async function leases({ ask }: Rig, count: number): Promise<Lease[]> {
  return Promise.all(Array.from({ length: count }, () => ask('app').promise))
}

const wanted = (scaled: string[]): number[] => scaled.map((call) => Number(call.split(' ')[1]))

test('a wake starts as many replicas at once as the activation scale says, up to maxReplicas, for one stable window', async () => {
  const scaling = { ...POLICY.scaling, activationScale: 3, stableWindow: MINUTE }
  const it = await scene({ scaling })
  ;(await it.ask('app').promise).release()
  expect(it.scaled()).toEqual(['app 3'])
  await it.clock.advance(MINUTE - 1)
  expect(it.scaled()).toEqual(['app 3'])
  await it.clock.advance(4_000)
  expect(wanted(it.scaled())).toEqual([3, 1])

  const limited = await scene({ scaling: { ...scaling, activationScale: 9 }, maxReplicas: 2 })
  await limited.ask('app').promise
  expect(limited.scaled()).toEqual(['app 2'])
})

describe('with a target rate', () => {
  const RATE: Partial<TargetPolicy> = { scaling: { targetRate: 10, targetUtilization: 1 } }

  /** So many requests a second, each of which takes no time. */
  async function requests({ ask, clock }: Rig, perSecond: number, seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      for (let request = 0; request < perSecond; request++) (await ask('app').promise).release()
      await clock.advance(1_000)
    }
  }

  test('the requests per second decide, however short they are', async () => {
    const it = await scene(RATE)
    await requests(it, 30, 70)
    expect(it.activator.stats('app')?.replicas).toBe(3)
    await requests(it, 10, 130)
    expect(it.activator.stats('app')?.replicas).toBe(1)
  })

  test('requests that last long do not count again', async () => {
    const it = await scene(RATE)
    await leases(it, 10)
    await it.clock.advance(2 * MINUTE)
    expect(it.activator.stats('app')?.replicas).toBe(1)
  })

  test('a policy may change to it while the target is awake', async () => {
    let policy: Partial<TargetPolicy> = POLICY
    const driver = new WillingDriver()
    const it = await rig({}, { driver, policy: () => ({ ...BASE, ...POLICY, ...policy }) })
    await requests(it, 30, 10)
    expect(it.activator.stats('app')?.replicas).toBe(1)
    policy = RATE
    it.activator.refresh('app')
    await requests(it, 30, 70)
    expect(it.activator.stats('app')?.replicas).toBe(3)
  })
})

describe('more replicas', () => {
  test('follow the requests in flight and waiting, up to maxReplicas', async () => {
    const it = await scene()
    for (let count = 0; count < 100; count++) it.ask('app')
    await it.clock.advance(10_000)
    expect(it.activator.stats('app')).toMatchObject({ endpoints: 5, replicas: 5, inFlight: 50, queued: 50 })
    expect(Math.max(...wanted(it.scaled()))).toBe(5)
    expect(it.told).toContain('scaled app 1 5')
  })

  test('are requested while the first one is still waking', async () => {
    const it = await rig(POLICY)
    for (let count = 0; count < 40; count++) it.ask('app')
    await it.clock.advance(2_000)
    expect(it.activator.stats('app')?.phase).toBe('waking')
    expect(it.scaled()).toEqual(['app 1', 'app 4'])
  })

  test('share the requests: the least loaded one gets the next request', async () => {
    const it = await scene()
    await leases(it, 10)
    for (let count = 0; count < 15; count++) it.ask('app')
    await it.clock.advance(4_000)
    expect(it.activator.stats('app')?.endpoints).toBe(3)
    // The first endpoint has its ten requests, the others share the rest.
    const ids = (await leases(it, 5)).map(({ endpoint }) => endpoint.id)
    expect(ids).not.toContain('app-1')
    expect(new Set(ids).size).toBe(2)
  })

  test('a target with one replica has no decision timer', async () => {
    const it = await scene({ maxReplicas: 1, idleTimeout: MINUTE })
    await leases(it, 10)
    expect(it.clock.pending).toBe(0)
  })

  test('that the driver refuses are requested again, and the error is reported', async () => {
    const it = await scene()
    await leases(it, 10)
    it.driver.onScale = () => Promise.reject(new Error('quota exceeded'))
    for (let count = 0; count < 20; count++) it.ask('app')
    await it.clock.advance(2_000)
    expect(it.told).toContain('error quota exceeded')
    it.driver.onScale = undefined
    await it.clock.advance(2_000)
    expect(it.activator.stats('app')?.endpoints).toBe(3)
  })
})

describe('fewer replicas', () => {
  test('are reached one stable window after the load has ended, but never fewer than one', async () => {
    const it = await scene()
    const all = await Promise.all([...(await leases(it, 10))])
    for (let count = 0; count < 40; count++) void it.ask('app').promise.then((lease) => all.push(lease))
    await it.clock.advance(10_000)
    for (const lease of all) lease.release()
    await it.clock.advance(30_000)
    expect(it.activator.stats('app')?.endpoints).toBe(5)
    await it.clock.advance(5 * MINUTE)
    expect(it.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1, replicas: 1 })
  })

  test('never stop an endpoint with a lease, and never send requests to a draining one', async () => {
    const it = await scene()
    const asked = Array.from({ length: 50 }, () => it.ask('app'))
    await it.clock.advance(10_000)
    const held = asked.map(({ lease }) => lease!)
    const streams = [held[0]!, held[1]!, held[2]!]
    for (const lease of held.slice(3)) lease.release()
    const used = new Set(streams.map(({ endpoint }) => endpoint.id))
    for (let minute = 0; minute < 10; minute++) {
      await it.clock.advance(MINUTE)
      for (const id of it.driver.removed) expect(used.has(id)).toBe(false)
      const lease = it.activator.tryAcquire('app')
      expect(it.driver.removed).not.toContain(lease?.endpoint.id)
      lease?.release()
    }
    expect(it.activator.stats('app')?.endpoints).toBe(used.size)
    for (const stream of streams) stream.release()
    await it.clock.advance(5 * MINUTE)
    expect(it.activator.stats('app')?.endpoints).toBe(1)
  })

  test('a draining endpoint is used again when the load returns', async () => {
    const it = await scene({ scaling: { targetUtilization: 1, stableWindow: 6_000 } })
    const asked = Array.from({ length: 20 }, () => it.ask('app'))
    await it.clock.advance(4_000)
    expect(it.activator.stats('app')?.endpoints).toBe(2)
    const held = asked.map(({ lease }) => lease!)
    const [a] = new Set(held.map(({ endpoint }) => endpoint.id))
    // One lease of each endpoint is still held, so that no draining endpoint can be stopped yet.
    const keep = [
      held.find(({ endpoint }) => endpoint.id === a)!,
      held.find(({ endpoint }) => endpoint.id !== a)!,
    ]
    for (const lease of held) if (!keep.includes(lease)) lease.release()
    await it.clock.advance(30_000)
    const during = await leases(it, 5)
    expect(new Set(during.map(({ endpoint }) => endpoint.id)).size).toBe(1)
    for (let count = 0; count < 20; count++) it.ask('app')
    await it.clock.advance(10_000)
    expect(it.activator.stats('app')).toMatchObject({ inFlight: 27, queued: 0 })
    expect(it.driver.removed).toEqual([])
  })

  test('endpoints that the driver failed to stop are passed to it again', async () => {
    const it = await scene({ scaling: { targetUtilization: 1, stableWindow: 6_000 } })
    const asked = Array.from({ length: 20 }, () => it.ask('app'))
    await it.clock.advance(4_000)
    for (const { lease } of asked) lease?.release()
    const tried: (readonly string[] | undefined)[] = []
    it.driver.onScale = ({ remove }) => {
      tried.push(remove)
      return tried.length === 1 ? Promise.reject(new Error('not now')) : undefined
    }
    await it.clock.advance(30_000)
    expect(tried).toHaveLength(2)
    expect(tried[1]).toEqual(tried[0])
    expect(it.activator.stats('app')?.endpoints).toBe(1)
  })

  test('an endpoint that the driver refused to stop is stopped when it is the only one left', async () => {
    const it = await scene({ scaling: { targetUtilization: 1, stableWindow: 6_000 } })
    const asked = Array.from({ length: 20 }, () => it.ask('app'))
    await it.clock.advance(4_000)
    const used = asked[0]!.lease!.endpoint.id
    for (const { lease } of asked.slice(1)) lease?.release()
    it.driver.scale = () => Promise.reject(new Error('not now'))
    await it.clock.advance(30_000)
    const other = asked.map(({ lease }) => lease!.endpoint).find(({ id }) => id !== used)!
    const calls: number[] = []
    it.driver.scale = async (_key, replicas) => void calls.push(replicas)
    it.driver.emit('app', { ready: [other] })
    await settle()
    expect(calls).toEqual([0])
  })

  test('when the target is idle in the end, all replicas are stopped', async () => {
    const it = await scene({ idleTimeout: MINUTE })
    const asked = Array.from({ length: 50 }, () => it.ask('app'))
    await it.clock.advance(10_000)
    for (const { lease } of asked) lease?.release()
    await it.clock.advance(MINUTE)
    expect(it.activator.stats('app')).toBeUndefined()
    expect(it.scaled().at(-1)).toBe('app 0')
    await settle()
    expect(it.clock.pending).toBe(0)
  })
})

test('there are never fewer replicas than minReplicas, even if the load needs fewer', async () => {
  const it = await scene({ minReplicas: 2 })
  ;(await it.ask('app').promise).release()
  expect(it.scaled()).toEqual(['app 2'])
  await it.clock.advance(10 * MINUTE)
  expect(it.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 2 })
})

test('a reduced maxReplicas takes effect', async () => {
  const policy = { ...POLICY, maxReplicas: 5 }
  const driver = new WillingDriver()
  const it = await rig({}, { driver, policy: () => ({ ...BASE, ...policy }) })
  const asked = Array.from({ length: 50 }, () => it.ask('app'))
  await it.clock.advance(10_000)
  for (const { lease } of asked.slice(1)) lease?.release()
  policy.maxReplicas = 2
  it.activator.refresh('app')
  await it.clock.advance(10_000)
  expect(it.activator.stats('app')?.endpoints).toBe(2)
})
