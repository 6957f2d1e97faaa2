import { expect, test } from 'vitest'
import { MINUTE } from '../../test/harness.ts'
import { ask, pairOf } from '../../test/pair.ts'
import { DEFAULT_POLICY } from '../activator.ts'
import { settle } from '../drivers/fake/index.ts'

const READINESS = DEFAULT_POLICY.readinessTimeout

test('when retire() resolves for a target that sleeps, its document is deleted', async () => {
  const { one, two, clock, wake, close } = await pairOf(true)
  const stored = new Set<string>()
  const watch = await two.connection.watch((key, value) => void stored[value ? 'add' : 'delete'](key))
  ;(await wake(one, 'app')).release()
  await one.activator.sleep('app')
  await settle()
  expect([...stored]).toEqual(['target/app'])
  one.connection.latency = () => 100
  let deleted: boolean | undefined
  void one.activator.retire('app').then(() => (deleted = !stored.has('target/app')))
  await clock.advance(1_000)
  expect(deleted).toBe(true)
  await watch[Symbol.asyncDispose]()
  await close()
})

test('a target that one activator wakes while another retires it is stopped, and its requests are refused', async () => {
  const { one, two, clock, scaled, close } = await pairOf(true)
  const asked = ask(two)
  await settle()
  expect(scaled()).toEqual(['app 1'])
  await one.activator.retire('app')
  await settle()
  expect(asked.error).toMatchObject({ code: 'SCALER_RETIRED' })
  expect(scaled()).toEqual(['app 1', 'app 0'])
  await clock.advance(READINESS)
  expect(two.activator.stats('app')).toBeUndefined()
  expect(two.told).toEqual([])
  await close()
})

test('a request that waits for a place of another activator has no time limit of a wake', async () => {
  const { one, two, clock, wake, close } = await pairOf(true, {
    concurrency: 1,
    queueTimeout: 0,
    idleTimeout: 60 * MINUTE,
  })
  const held = await wake(one, 'app')
  const asked = ask(two)
  await clock.advance(2 * READINESS)
  expect(asked).toEqual({})
  held.release()
  await clock.advance(10_000)
  expect(asked.lease).toBeDefined()
  await close()
})

test('a request that waits for another activator, which cannot put the target to sleep, has the limit of a wake', async () => {
  const { one, two, driver, clock, wake, close } = await pairOf(true)
  ;(await wake(one, 'app')).release()
  driver.lingers = true
  driver.onScale = ({ replicas }) => (replicas === 0 ? new Promise<void>(() => undefined) : undefined)
  void one.activator.sleep('app').catch(() => undefined)
  await settle()
  const asked = ask(two)
  await clock.advance(READINESS - 1)
  expect(asked).toEqual({})
  await clock.advance(1)
  expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
  await close()
})

test('a request that comes while the exclusive lock is asked for keeps the target awake', async () => {
  const { two, clock, scaled, wake, close } = await pairOf(true)
  ;(await wake(two, 'app')).release()
  two.connection.latency = () => 100
  const slept = two.activator.sleep('app')
  await settle()
  const asked = ask(two)
  await clock.advance(1_000)
  expect(await slept).toBe(false)
  expect(asked.lease).toBeDefined()
  expect(scaled()).toEqual(['app 1'])
  await close()
})
