import { expect, test } from 'vitest'
import { pairOf, ask, type Pair } from '../../test/pair.ts'
import { MINUTE } from '../../test/harness.ts'
import { settle } from '../drivers/fake/index.ts'
import type { Lease } from '../types.ts'

/** Both members have used the target. The first one leads. */
async function usedByBoth(policy: Parameters<typeof pairOf>[1] = {}, replicas = 1): Promise<Pair> {
  const pair = await pairOf(false, { idleTimeout: 30 * MINUTE, ...policy })
  ;(await pair.wake(pair.one, 'app', replicas)).release()
  ;(await pair.two.activator.acquire('app')).release()
  return pair
}

/** A request of the second member finds that nobody listens at the endpoint, and the probes find the same. */
async function refusedAtSecond({ driver, clock, two }: Pair, lease: Lease): Promise<void> {
  driver.onProbe = ({ id }) => id !== lease.endpoint.id
  two.activator.report('app', lease.endpoint.id, 'refused')
  lease.release()
  await clock.advance(1_000)
}

test('an endpoint that one member finds dead is replaced also while another member, which leads, does not use it', async () => {
  const pair = await usedByBoth()
  const { clock, driver, scaled, two } = pair
  const lease = await two.activator.acquire('app')
  await refusedAtSecond(pair, lease)
  const next = ask(two)
  await clock.advance(5_000)
  expect(scaled().at(-1)).toBe('app 1')
  expect(scaled().length).toBeGreaterThan(1)
  driver.ready('app')
  await settle()
  expect(next.lease!.endpoint.id).not.toBe(lease.endpoint.id)
  await pair.close()
})

test('a dead one of several endpoints is replaced by the leader, which has not used it', async () => {
  const pair = await usedByBoth({ maxReplicas: 3, minReplicas: 3 }, 3)
  const { driver, two } = pair
  const lease = await two.activator.acquire('app')
  await refusedAtSecond(pair, lease)
  await pair.clock.advance(10_000)
  expect(driver.calls.at(-1)).toEqual({ key: 'app', replicas: 3, remove: [lease.endpoint.id] })
  await pair.close()
})

test('an endpoint that only one member cannot reach is not stopped while another member can', async () => {
  const pair = await usedByBoth({ maxReplicas: 2, minReplicas: 2 }, 2)
  const { clock, driver, one, scaled, two } = pair
  const lease = await two.activator.acquire('app')
  const calls = scaled().length
  let probes = 0
  driver.onProbe = ({ id }) => id !== lease.endpoint.id || ++probes > 3
  two.activator.report('app', lease.endpoint.id, 'refused')
  lease.release()
  await clock.advance(MINUTE)
  // Three of the one that cannot reach it, one of the other, and a later one, which is answered.
  expect(probes).toBe(5)
  expect(scaled().length).toBe(calls)
  for (const { activator } of [one, two])
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 2 })
  await pair.close()
})

test('a member looks once at an endpoint that another one has found dead, however often the ledger changes', async () => {
  const pair = await usedByBoth({ maxReplicas: 2, minReplicas: 2, concurrency: 1 }, 2)
  const { clock, driver, one, two } = pair
  const lease = await two.activator.acquire('app')
  let probes = 0
  driver.onProbe = ({ id }) => id !== lease.endpoint.id || ++probes > 3
  two.activator.report('app', lease.endpoint.id, 'refused')
  await clock.advance(1_000)
  for (let i = 0; i < 8; i++) {
    ;(await one.activator.acquire('app')).release()
    await clock.advance(400)
  }
  // Three of the one that found it, and one of the other. The one that found it looks again in five seconds.
  expect(probes).toBe(4)
  await pair.close()
})

test('a member that could not reach the only endpoint for a moment uses it again', async () => {
  const pair = await usedByBoth()
  const { clock, driver, one, two } = pair
  using _held = await one.activator.acquire('app')
  const lease = await two.activator.acquire('app')
  let probes = 0
  driver.onProbe = () => ++probes > 3
  two.activator.report('app', lease.endpoint.id, 'refused')
  lease.release()
  await clock.advance(10_000)
  const asked = ask(two)
  await clock.advance(10_000)
  expect(asked.lease?.endpoint.id).toBe(lease.endpoint.id)
  asked.lease?.release()
  await pair.close()
})

test('an endpoint that only the leader cannot reach does not stay without use', async () => {
  const pair = await usedByBoth({ minReplicas: 3, maxReplicas: 3, idleTimeout: 300 * MINUTE }, 3)
  const { clock, driver, one, two } = pair
  const lease = await two.activator.acquire('app')
  const { id } = lease.endpoint
  lease.release()
  let probes = 0
  // The leader never reaches it.
  driver.onProbe = (endpoint) => endpoint.id !== id || ++probes === 4
  one.activator.report('app', id, 'refused')
  await clock.advance(MINUTE)
  expect(driver.calls.at(-1)).toEqual({ key: 'app', replicas: 3, remove: [id] })
  await pair.close()
})
