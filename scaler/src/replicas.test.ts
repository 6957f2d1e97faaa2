import { describe, expect, test } from 'vitest'
import { gate } from '../test/harness.ts'
import { DEFAULT_POLICY } from './activator.ts'
import { FakeClock, settle } from './drivers/fake/index.ts'
import { EndpointSet } from './picker.ts'
import { Replicas } from './replicas.ts'
import { LocalTargetLock, type LoadReport, type TargetLock } from './target-lock.ts'
import type { TargetPolicy } from './types.ts'

const TICK = 2_000

/** The lock of an activator among several: the test decides whether it leads, and when the store answers. */
class FakeLock extends LocalTargetLock {
  isLeader = true
  load = 0
  readonly reports: LoadReport[] = []
  readonly asked: (readonly string[])[] = []
  answer: (() => boolean | Promise<boolean>) | undefined
  removable: readonly string[] | undefined

  override report(report: LoadReport): never {
    this.reports.push(report)
    return (this.answer?.() ?? this.isLeader) as never
  }
  override remove(endpoints: readonly string[]): readonly string[] {
    this.asked.push(endpoints)
    return this.removable ?? endpoints
  }
}

/** The replicas of a target with these ready endpoints; ten requests need one replica. */
function replicasOf(ready: readonly string[], policy: Partial<TargetPolicy> = {}) {
  const clock = new FakeClock()
  const endpoints = new EndpointSet()
  const fake = new FakeLock()
  const lock: TargetLock = Object.create(fake, {
    leads: { get: () => fake.isLeader },
    othersLoad: { get: () => fake.load },
  }) as TargetLock
  const it = {
    clock,
    endpoints,
    lock: fake,
    load: 0,
    policy: { ...DEFAULT_POLICY, concurrency: 10, maxReplicas: 9, ...policy } as TargetPolicy,
    scaled: [] as (readonly [number, readonly string[]])[],
    failures: [] as string[],
    /** How often the draining endpoints have changed. */
    drainings: 0,
    onScale: undefined as (() => Promise<void>) | undefined,
    report: (...ids: string[]) =>
      endpoints.replace(ids.map((id) => ({ id, url: new URL('http://127.0.0.1') }))),
    wants: () => fake.reports.at(-1)?.lead?.replicas,
  }
  it.policy = { ...it.policy, scaling: { targetUtilization: 1, ...policy.scaling } }
  const replicas = new Replicas({
    clock,
    endpoints,
    lock,
    policy: () => it.policy,
    load: () => it.load,
    keptWarm: () => 0,
    drainingChanged: () => it.drainings++,
    scale: async (count, remove) => {
      it.scaled.push([count, remove])
      await it.onScale?.()
    },
    enqueue: (scale) => scale(),
    scaled: () => undefined,
    failed: (error) => it.failures.push(error.message),
  })
  it.report(...ready)
  return { ...it, it, replicas }
}

describe('the start of a wake', () => {
  test('asks for what the last leader has decided on, but for no more than the policy allows now', async () => {
    const { it, replicas, lock, scaled } = replicasOf([])
    replicas.begin(0)
    it.policy = { ...it.policy, maxReplicas: 3 }
    lock.replicas = 5
    await replicas.start()
    expect(scaled).toEqual([[3, []]])
  })

  test('is one call, with what the lock recorded, and is told to the others', async () => {
    const { it, lock, replicas, scaled } = replicasOf([])
    it.load = 7
    lock.replicas = 3
    replicas.begin(0)
    await replicas.start()
    await replicas.start()
    expect(scaled).toEqual([[3, []]])
    expect(lock.reports).toEqual([{ load: 7, drained: [], lead: { replicas: 3, draining: [] } }])
    expect([replicas.started, replicas.wanted]).toEqual([true, 3])
  })

  test('also stops the dead endpoints that are left of the last generation, if nobody uses them', async () => {
    const { endpoints, lock, replicas, scaled } = replicasOf(['a', 'b', 'c'])
    endpoints.pick()
    for (const id of ['a', 'b', 'c']) endpoints.dropDead(id)
    lock.removable = ['c']
    replicas.begin(0)
    await replicas.start()
    expect(lock.reports[0]).toMatchObject({ drained: ['b', 'c'], lead: { draining: ['b', 'c'] } })
    expect(lock.asked).toEqual([['b', 'c']])
    expect(scaled).toEqual([[1, ['c']]])
  })

  test('asks for no removal if there are no dead endpoints', async () => {
    const { lock, replicas } = replicasOf([])
    replicas.begin(0)
    await replicas.start()
    expect(lock.asked).toEqual([])
  })

  test('does nothing for a target that runs already, that sleeps, or that another activator leads', async () => {
    const { lock, replicas, scaled } = replicasOf(['a'])
    await replicas.start()
    replicas.begin(1)
    await replicas.start()
    replicas.begin(0)
    lock.isLeader = false
    await replicas.start()
    replicas.end()
    lock.isLeader = true
    await replicas.start()
    expect([lock.reports, scaled]).toEqual([[], []])
  })

  test.each([
    ['no', () => false],
    ['no after a while', () => Promise.resolve(false)],
    ['nothing', () => Promise.reject(new Error('no answer'))],
  ])('is left to the leader if the lock answers %s', async (_answer, answer) => {
    const { lock, replicas, scaled } = replicasOf([])
    replicas.begin(0)
    lock.answer = answer
    await replicas.start()
    expect([scaled, replicas.started]).toEqual([[], false])
  })

  test('is void if the target has been started or has ended before the lock answers', async () => {
    for (const event of ['started', 'ended']) {
      const { lock, replicas, scaled } = replicasOf([])
      const answer = Promise.withResolvers<boolean>()
      lock.answer = () => answer.promise
      replicas.begin(0)
      const starts = [replicas.start(), event === 'started' ? replicas.start() : undefined]
      if (event === 'ended') replicas.end()
      answer.resolve(true)
      await Promise.all(starts)
      expect(scaled).toEqual(event === 'started' ? [[1, []]] : [])
    }
  })

  test('wakes as many as the activation scale says until one stable window has passed', async () => {
    const scaling = { activationScale: 3, stableWindow: 3 * TICK }
    const { clock, report, replicas, wants } = replicasOf([], { scaling })
    replicas.begin(0)
    expect(replicas.wanted).toBe(3)
    report('a')
    await clock.advance(2 * TICK)
    expect(wants()).toBe(3)
    await clock.advance(TICK)
    expect(wants()).toBe(1)
  })

  test('a target that runs already needs no activation scale', () => {
    const { replicas } = replicasOf(['a'], { scaling: { activationScale: 3 } })
    replicas.begin(1)
    expect(replicas.wanted).toBe(1)
  })
})

describe('a decision', () => {
  test('counts the load of the others in both windows', async () => {
    const { clock, lock, replicas, wants } = replicasOf(['a', 'b'])
    lock.load = 30
    replicas.begin(2)
    await clock.advance(TICK)
    expect(wants()).toBe(3)

    const burst = replicasOf(['a'])
    burst.lock.load = 30
    burst.replicas.begin(1)
    await burst.clock.advance(TICK)
    burst.lock.load = 0
    await burst.clock.advance(TICK)
    // The burst has begun the panic mode, which keeps the replicas.
    expect(burst.wants()).toBe(3)
  })

  test('counts the requests from before the target was awake, and averages over the stable window', async () => {
    const { it, clock, replicas, wants } = replicasOf(['a', 'b', 'c'])
    it.load = 30
    replicas.begin(3)
    await clock.advance(30 * TICK)
    expect(wants()).toBe(3)
    it.load = 0
    replicas.loadChanged()
    await clock.advance(5 * TICK)
    expect(wants()).toBe(3)
    await clock.advance(25 * TICK)
    expect(wants()).toBe(1)
  })

  test('with a target rate, counts arrivals and neither the load nor its changes', async () => {
    const scaling = { targetRate: 10, targetUtilization: 1 }
    const { it, clock, lock, replicas, wants } = replicasOf(['a', 'b'], { scaling })
    it.load = 90
    replicas.begin(2)
    for (let second = 0; second < 60; second++) {
      for (let request = 0; request < 20; request++) replicas.arrived()
      replicas.loadChanged()
      await clock.advance(1_000)
    }
    expect(wants()).toBe(2)
    expect(lock.reports.at(-1)?.load).toBeCloseTo(20, 0)
    replicas.end()
    replicas.arrived()
    expect(replicas.wanted).toBe(0)
  })

  test('is left to the leader; the others report their load and what they do not use any more', async () => {
    const { it, clock, endpoints, lock, replicas, scaled } = replicasOf(['a', 'b', 'c'])
    it.load = 50
    lock.isLeader = false
    lock.replicas = 4
    endpoints.dropDead('b')
    endpoints.setDraining(new Set(['c']))
    replicas.begin(2)
    await clock.advance(TICK)
    expect(lock.reports).toEqual([{ load: 50, drained: ['c', 'b'] }])
    expect([replicas.wanted, scaled]).toEqual([4, []])
  })

  test('tells the others the present load, not an average', async () => {
    const { it, clock, lock, replicas } = replicasOf(['a', 'b'])
    replicas.begin(2)
    await clock.advance(TICK / 2)
    it.load = 7
    replicas.arrived()
    await clock.advance(TICK / 2)
    expect(lock.reports.at(-1)?.load).toBe(7)
  })

  test('waits for the answer to the previous one, and is void once the target has ended', async () => {
    const { it, clock, lock, replicas, scaled } = replicasOf(['a'])
    const answer = Promise.withResolvers<boolean>()
    lock.answer = () => answer.promise
    it.load = 30
    replicas.begin(1)
    await clock.advance(3 * TICK)
    expect(lock.reports).toHaveLength(1)
    replicas.end()
    answer.resolve(true)
    await settle()
    expect([scaled, clock.pending]).toEqual([[], 0])
  })

  test('is made again after the answer, also after a failed one', async () => {
    const { it, clock, lock, replicas, scaled } = replicasOf(['a'])
    it.load = 30
    lock.answer = () => Promise.reject(new Error('no answer'))
    replicas.begin(1)
    await clock.advance(TICK)
    expect(scaled).toEqual([])
    lock.answer = () => Promise.resolve(true)
    await clock.advance(TICK)
    expect(scaled).toEqual([[3, []]])
    await clock.advance(TICK)
    expect(lock.reports).toHaveLength(3)
  })

  test('comes every two seconds, however often the endpoints change, and not while the target sleeps', async () => {
    const { clock, lock, replicas } = replicasOf(['a'])
    replicas.readyChanged()
    expect(clock.pending).toBe(0)
    replicas.begin(1)
    for (let count = 0; count < 5; count++) {
      await clock.advance(TICK / 4)
      replicas.readyChanged()
    }
    expect(lock.reports).toHaveLength(1)
    replicas.end()
    replicas.readyChanged()
    expect(clock.pending).toBe(0)
  })
})

describe('the decision timer', () => {
  test('stops when the policy fixes the number of replicas and as many are ready', async () => {
    const { it, clock, replicas } = replicasOf(['a'])
    replicas.begin(1)
    expect(clock.pending).toBe(1)
    it.policy = { ...it.policy, maxReplicas: 1 }
    replicas.decide()
    expect(clock.pending).toBe(0)
  })

  test('runs until a smaller maximum has taken effect, and no endpoint is left to stop', async () => {
    const { it, clock, report, replicas, scaled } = replicasOf(['a', 'b', 'c'])
    it.load = 30
    replicas.begin(3)
    it.policy = { ...it.policy, maxReplicas: 1 }
    it.onScale = () => Promise.reject(new Error('not now'))
    await clock.advance(TICK)
    expect(scaled).toEqual([[1, ['a', 'b']]])
    expect(it.failures).toEqual(['not now'])
    it.onScale = undefined
    report('c')
    await clock.advance(TICK)
    expect(scaled.at(-1)).toEqual([1, ['a', 'b']])
    await clock.advance(TICK)
    expect(clock.pending).toBe(0)
    expect(scaled).toHaveLength(2)
  })
})

describe('fewer replicas', () => {
  const FEW: Partial<TargetPolicy> = { scaling: { maxScaleDownRate: 9, stableWindow: 6_000 } }

  test('the capacity is counted when endpoints begin to drain, and when they are stopped', async () => {
    const { it, clock, endpoints, lock, replicas, scaled } = replicasOf(['a', 'b'], FEW)
    const lease = [endpoints.pick(), endpoints.pick()]
    replicas.begin(2)
    await clock.advance(TICK)
    expect([it.drainings, scaled, lock.asked]).toEqual([1, [], []])
    await clock.advance(TICK)
    expect(it.drainings).toBe(1)
    for (const slot of lease) endpoints.leave(slot)
    await clock.advance(TICK)
    expect([it.drainings, scaled]).toEqual([2, [[1, ['a']]]])
  })

  test('an endpoint that another activator uses is not stopped', async () => {
    const { it, clock, lock, replicas, scaled } = replicasOf(['a', 'b'], FEW)
    lock.removable = []
    replicas.begin(2)
    await clock.advance(TICK)
    expect([lock.asked, scaled, it.drainings]).toEqual([[['a']], [], 1])
  })

  test('while a call is open it is not repeated; what became free meanwhile is stopped by the next one', async () => {
    const { it, clock, endpoints, report, replicas, scaled } = replicasOf(['a', 'b', 'c'], FEW)
    const [lease] = [endpoints.pick(), endpoints.pick()]
    const open = gate()
    it.onScale = () => open.passed
    replicas.begin(3)
    await clock.advance(TICK)
    expect(scaled).toEqual([[2, ['c']]])
    endpoints.leave(lease)
    await clock.advance(TICK)
    expect(scaled.slice(1)).toEqual([[1, ['c', 'a']]])
    await clock.advance(2 * TICK)
    expect(scaled).toHaveLength(2)
    report('b')
    open.open()
    await clock.advance(2 * TICK)
    expect(scaled).toHaveLength(2)
  })

  test('a call that fails after a later decision does not undo it', async () => {
    const { it, clock, endpoints, replicas, scaled } = replicasOf(['a', 'b', 'c'], FEW)
    const [lease] = [endpoints.pick(), endpoints.pick()]
    const open = gate()
    it.onScale = () => open.passed
    replicas.begin(3)
    await clock.advance(TICK)
    it.onScale = undefined
    endpoints.leave(lease)
    await clock.advance(TICK)
    expect(scaled).toHaveLength(2)
    open.shut(new Error('not now'))
    await settle()
    expect(replicas.wanted).toBe(1)
  })

  test('a dead endpoint does not keep the target from getting more replicas', async () => {
    const { it, clock, endpoints, lock, replicas, scaled } = replicasOf(['a', 'b'])
    endpoints.dropDead('b')
    lock.removable = []
    it.load = 30
    replicas.begin(1)
    await clock.advance(TICK)
    expect(scaled).toEqual([[3, []]])
  })
})
