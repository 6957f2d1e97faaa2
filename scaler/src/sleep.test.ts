import { expect, test } from 'vitest'
import { gate, MINUTE, rig } from '../test/harness.ts'
import { createActivator } from './activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'

test('sleep() has nothing to do for a target whose wake has failed', async () => {
  const { activator, ask, driver, scaled } = await rig()
  ask('app')
  await settle()
  driver.fail('app', { code: 'CRASHED', message: 'no' })
  await settle()
  expect(await activator.sleep('app')).toBe(true)
  expect(scaled()).toEqual(['app 1', 'app 0'])
})

test('sleep() does not end a wake, even if no request waits for it any more', async () => {
  const { activator, ask, scaled } = await rig()
  const abort = new AbortController()
  ask('app', { signal: abort.signal })
  await settle()
  abort.abort()
  await settle()
  expect(activator.stats('app')).toMatchObject({ phase: 'waking', queued: 0 })
  expect(await activator.sleep('app')).toBe(false)
  expect(scaled()).toEqual(['app 1'])
})

test('sleep() stops nothing if the target has ended while it was asked whether to keep it awake', async () => {
  const answer = gate()
  const { activator, driver, scaled, wake } = await rig(
    {},
    { keepAwake: () => answer.passed.then(() => false) },
  )
  ;(await wake('app')).release()
  const slept = activator.sleep('app')
  await settle()
  driver.crash('app')
  answer.open()
  expect(await slept).toBe(false)
  expect(scaled()).toEqual(['app 1'])
})

test('a scale-down that fails needs no observer, whether it comes from idleness or from a failed wake', async () => {
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const activator = await createActivator({ driver, clock, policy: { idleTimeout: 1_000 } })
  let isFaulty = true
  driver.onScale = ({ replicas }) =>
    replicas === 0 && isFaulty ? Promise.reject(new Error('not now')) : undefined
  const asked = activator.acquire('idle')
  const failed = activator.acquire('failed').catch((error: unknown) => error)
  await settle()
  driver.lingers = true
  driver.ready('idle')
  driver.fail('failed', { code: 'CRASHED', message: 'no' })
  ;(await asked).release()
  expect(await failed).toMatchObject({ code: 'SCALER_TARGET_FAILED' })
  await clock.advance(1_500)
  expect(activator.stats('idle')?.phase).toBe('awake')
  isFaulty = false
  driver.lingers = false
  await clock.advance(MINUTE)
  expect([...activator.targets()]).toEqual([])
  await activator.close()
})

test('requests that wait for a place when the only endpoint dies under a stream have the limit of a wake', async () => {
  const { activator, ask, clock, driver, wake } = await rig({
    concurrency: 1,
    queueTimeout: 0,
    readinessTimeout: MINUTE,
  })
  const stream = await wake('app')
  const asked = ask('app')
  driver.onProbe = () => false
  activator.report('app', stream.endpoint.id, 'refused')
  await clock.advance(1_000)
  expect(asked.settled).toBe(0)
  await clock.advance(MINUTE)
  expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
  expect(activator.stats('app')).toMatchObject({ inFlight: 1 })
})
