import { expect, test } from 'vitest'
import { settle } from './drivers/fake/index.ts'
import { MINUTE, rig, type Rig } from '../test/harness.ts'
import type { Lease } from './types.ts'

const never = (): Promise<boolean> => new Promise(() => undefined)
const idOf = (lease: Lease): string => lease.endpoint.id

/** Takes this many leases, one after the other, and releases them. Returns the ids of their endpoints. */
async function served({ activator }: Rig, count: number): Promise<Set<string>> {
  const ids = new Set<string>()
  for (let left = count; left > 0; left--) {
    using lease = await activator.acquire('app')
    ids.add(idOf(lease))
  }
  return ids
}

/** An awake target with this many replicas, all of which are used in turn. */
async function awake(count: number): Promise<Rig & { readonly ids: readonly string[] }> {
  const made = await rig({ maxReplicas: count, minReplicas: count, idleTimeout: MINUTE })
  const lease = await made.wake('app', count)
  lease.release()
  const leases = await Promise.all(Array.from({ length: count }, () => made.activator.acquire('app')))
  for (const one of leases) one.release()
  return { ...made, ids: leases.map(idOf) }
}

test('a reset of one request does not touch the other requests of a healthy endpoint', async () => {
  const { activator, wake, scaled, clock } = await rig()
  const download = await wake('app')
  for (let i = 0; i < 20; i++) {
    activator.report('app', idOf(download), 'reset')
    await clock.advance(500)
  }
  expect(scaled()).toEqual(['app 1'])
  expect(activator.stats('app')).toMatchObject({ phase: 'awake', inFlight: 1, endpoints: 1 })
  expect(activator.tryAcquire('app')?.endpoint.id).toBe(idOf(download))
})

test('requests wait for the verdict on the only endpoint, and a second reset soon after a good probe delays none', async () => {
  const { activator, wake, ask, driver } = await rig()
  const lease = await wake('app')
  const probe = Promise.withResolvers<boolean>()
  driver.onProbe = () => probe.promise
  activator.report('app', idOf(lease), 'reset')
  expect(activator.tryAcquire('app')).toBeUndefined()
  const asked = ask('app')
  probe.resolve(true)
  await asked.promise
  driver.onProbe = never
  activator.report('app', idOf(lease), 'reset')
  expect(activator.tryAcquire('app')?.endpoint.id).toBe(idOf(lease))
})

test('an endpoint that hangs is kept, avoided while others are free, and used again once it answers', async () => {
  const made = await awake(2)
  const { activator, driver, clock, ids, scaled } = made
  driver.onProbe = never
  activator.report('app', ids[0]!, 'timeout')
  await clock.advance(MINUTE / 2)
  expect(await served(made, 5)).toEqual(new Set([ids[1]]))
  driver.onProbe = undefined
  await clock.advance(MINUTE / 2)
  using other = await activator.acquire('app')
  expect(await served(made, 1)).toEqual(new Set(ids.filter((id) => id !== idOf(other))))
  expect(scaled()).toEqual(['app 2'])
})

test.each([
  ['ECONNREFUSED', 250],
  ['ECONNRESET', 250],
  ['ENOENT', 250],
  ['EHOSTUNREACH', 7_000],
  ['ETIMEDOUT', 7_000],
  ['HPE_INVALID_CONSTANT', Infinity],
])('an endpoint whose probes reject with %s is replaced after %d ms', async (code, after) => {
  const { activator, wake, driver, clock, scaled } = await rig()
  const lease = await wake('app')
  lease.release()
  driver.onProbe = () => Promise.reject(Object.assign(new Error('no'), { code }))
  activator.report('app', idOf(lease), 'refused')
  await clock.advance(Math.min(after, MINUTE) - 1)
  expect(scaled()).toEqual(['app 1'])
  await clock.advance(1)
  expect(scaled()).toEqual(after === Infinity ? ['app 1'] : ['app 1', 'app 0'])
})

test('an endpoint that answers a probe with something else than valid HTTP exists, and is used', async () => {
  const { activator, wake, ask, driver, clock } = await rig()
  const lease = await wake('app')
  driver.onProbe = () => Promise.reject(Object.assign(new Error('no'), { code: 'HPE_INVALID_CONSTANT' }))
  activator.report('app', idOf(lease), 'refused')
  const asked = ask('app')
  await clock.advance(0)
  expect(asked.lease?.endpoint.id).toBe(idOf(lease))
})

test('the only endpoint is used again after a second if it hangs', async () => {
  const { activator, wake, ask, driver, clock, scaled } = await rig()
  const lease = await wake('app')
  driver.onProbe = never
  activator.report('app', idOf(lease), 'refused')
  const asked = ask('app')
  await clock.advance(999)
  expect(asked.settled).toBe(0)
  await clock.advance(1)
  expect((await asked.promise).endpoint.id).toBe(idOf(lease))
  expect(scaled()).toEqual(['app 1'])
})

test('one reset and one timeout leave all three replicas in use', async () => {
  const made = await awake(3)
  const { activator, ids, clock } = made
  activator.report('app', ids[0]!, 'reset')
  activator.report('app', ids[1]!, 'timeout')
  await clock.advance(0)
  const leases = await Promise.all(ids.map(() => activator.acquire('app')))
  expect(new Set(leases.map(idOf))).toEqual(new Set(ids))
})

test('a dead replica of several is replaced, and the others are not touched', async () => {
  const made = await awake(3)
  const { activator, driver, clock, ids } = made
  driver.onProbe = ({ id }) => id !== ids[0]
  activator.report('app', ids[0]!, 'refused')
  await clock.advance(MINUTE)
  expect(driver.calls).toEqual([
    { key: 'app', replicas: 3 },
    { key: 'app', replicas: 3, remove: [ids[0]] },
  ])
  expect(await served(made, 4)).not.toContain(ids[0])
})

test('the replacement of a dead replica is asked for again when the driver rejects', async () => {
  const { activator, driver, clock, ids } = await awake(2)
  driver.onProbe = () => false
  driver.onScale = () => Promise.reject(new Error('not now'))
  activator.report('app', ids[0]!, 'refused')
  await clock.advance(1_000)
  driver.onScale = undefined
  await clock.advance(2_000)
  expect(driver.calls.slice(1)).toEqual([
    { key: 'app', replicas: 2, remove: [ids[0]] },
    { key: 'app', replicas: 2, remove: [ids[0]] },
  ])
})

test('a dead endpoint with an open stream is not stopped: another one starts beside it', async () => {
  const { activator, driver, clock, wake, ask } = await rig()
  const stream = await wake('app')
  driver.onProbe = () => false
  activator.report('app', idOf(stream), 'refused')
  const asked = ask('app')
  await clock.advance(1_000)
  expect(driver.calls).toEqual([
    { key: 'app', replicas: 1 },
    { key: 'app', replicas: 2 },
  ])
  driver.grow('app', 2)
  expect(idOf(await asked.promise)).not.toBe(idOf(stream))
  await clock.advance(MINUTE)
  expect(driver.calls).toHaveLength(2)
  stream.release()
  await clock.advance(2_000)
  expect(driver.calls.slice(2)).toEqual([{ key: 'app', replicas: 1, remove: [idOf(stream)] }])
  expect(activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1, replicas: 1 })
})

test('requests that wait for the replacement beside an open stream have the time limit of a wake', async () => {
  const { activator, driver, clock, wake, ask } = await rig({ readinessTimeout: MINUTE })
  const stream = await wake('app')
  driver.onProbe = () => false
  activator.report('app', idOf(stream), 'refused')
  await clock.advance(1_000)
  const asked = ask('app')
  await clock.advance(MINUTE)
  expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
  expect(activator.stats('app')).toMatchObject({ inFlight: 1 })
})

test('an endpoint at which request after request fails is ejected, and restored after some time', async () => {
  const made = await awake(3)
  const { activator, clock, ids } = made
  for (let i = 0; i < 5; i++) {
    activator.report('app', ids[0]!, 'reset')
    await clock.advance(0)
  }
  expect(await served(made, 6)).not.toContain(ids[0])
  await clock.advance(5_000)
  using first = await activator.acquire('app')
  using second = await activator.acquire('app')
  using third = await activator.acquire('app')
  expect([first, second, third].map(idOf)).toContain(ids[0])
})

test('each ejection of an endpoint is longer than the one before', async () => {
  const made = await awake(3)
  const { activator, clock, ids } = made
  const eject = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      activator.report('app', ids[0]!, 'reset')
      await clock.advance(0)
    }
  }
  const isUsed = async (): Promise<boolean> => {
    const leases = await Promise.all(ids.map(() => activator.acquire('app')))
    for (const lease of leases) lease.release()
    return leases.some((lease) => idOf(lease) === ids[0])
  }
  await eject()
  await clock.advance(5_000)
  expect(await isUsed()).toBe(true)
  await eject()
  await clock.advance(5_000)
  expect(await isUsed()).toBe(false)
  await clock.advance(5_000)
  expect(await isUsed()).toBe(true)
})

test('at most half of the endpoints are ejected', async () => {
  const { activator, clock, ids } = await awake(3)
  for (const id of ids)
    for (let i = 0; i < 5; i++) {
      activator.report('app', id, 'reset')
      await clock.advance(0)
    }
  const leases = await Promise.all([1, 2, 3, 4].map(() => activator.acquire('app')))
  expect(new Set(leases.map(idOf)).size).toBe(2)
})

test('faults with long pauses between them eject nothing', async () => {
  const { activator, clock, ids } = await awake(3)
  for (let i = 0; i < 10; i++) {
    activator.report('app', ids[0]!, 'reset')
    await clock.advance(10_001)
  }
  const leases = await Promise.all(ids.map(() => activator.acquire('app')))
  expect(new Set(leases.map(idOf))).toEqual(new Set(ids))
})

test('a target with a suspect endpoint still goes to sleep, and its probes end', async () => {
  const { activator, driver, clock, wake, scaled } = await rig({ idleTimeout: MINUTE })
  const lease = await wake('app')
  let aborted = false
  driver.onProbe = (_endpoint, _key, signal) => {
    signal.addEventListener('abort', () => (aborted = true))
    return never()
  }
  activator.report('app', idOf(lease), 'timeout')
  lease.release()
  await clock.advance(MINUTE)
  expect(scaled()).toEqual(['app 1', 'app 0'])
  expect(activator.stats('app')).toBeUndefined()
  expect(aborted).toBe(true)
  expect(clock.pending).toBe(0)
})

test('a replica that is missing for a minute is asked for again', async () => {
  const { driver, clock, ids } = await awake(2)
  driver.crash('app', ids[0]!)
  await clock.advance(MINUTE - 1)
  expect(driver.calls).toHaveLength(1)
  await clock.advance(4_000)
  expect(driver.calls.slice(1)).toEqual([{ key: 'app', replicas: 2 }])
  driver.grow('app', 2)
  await settle()
  await clock.advance(5 * MINUTE)
  expect(driver.calls).toHaveLength(2)
})

test.each(['is not reported any more', 'is not the concern of a closed activator'])(
  'the probe of an endpoint that %s ends',
  async (event) => {
    const { activator, driver, ids } = await awake(2)
    const probe = Promise.withResolvers<AbortSignal>()
    driver.onProbe = (_endpoint, _key, signal) => {
      probe.resolve(signal)
      return never()
    }
    activator.report('app', ids[0]!, 'timeout')
    const signal = await probe.promise
    expect(signal.aborted).toBe(false)
    if (event === 'is not reported any more') driver.crash('app', ids[0]!)
    else await activator.close()
    expect(signal.aborted).toBe(true)
  },
)
