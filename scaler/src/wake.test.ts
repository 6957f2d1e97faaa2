import { describe, expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { createActivator, DEFAULT_POLICY } from './activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'
import { targetFailed } from './errors.ts'

const READINESS = DEFAULT_POLICY.readinessTimeout

test('the observer hears how long a wake took, whenever it began', async () => {
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const waits: number[] = []
  const observer = { awake: (_key: string, { waited }: { waited: number }) => void waits.push(waited) }
  const activator = await createActivator({ driver, clock, observer })
  await clock.advance(1_000)
  const asked = activator.acquire('app')
  await clock.advance(500)
  driver.ready('app')
  ;(await asked).release()
  expect(waits).toEqual([500])
  await activator.close()
})

test('an error of this library from the driver is a failed wake too: requests get it during the back-off', async () => {
  const { ask, driver, scaled, clock } = await rig()
  driver.onScale = ({ replicas }) => {
    if (replicas > 0) throw targetFailed({ code: 'IMAGE', message: 'There is no such image.' })
  }
  const first = ask('app')
  await settle()
  expect(first.error).toMatchObject({ code: 'SCALER_TARGET_FAILED', failure: { code: 'IMAGE' } })
  const second = ask('app')
  await settle()
  expect(second.error).toBe(first.error)
  expect(scaled()).toEqual(['app 1', 'app 0'])
  await clock.advance(1_000)
  driver.onScale = undefined
  ask('app')
  await settle()
  expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
})

test('requests that wait for a scale-down that hangs have one limit: a later one does not extend it', async () => {
  const { ask, wake, driver, activator, clock } = await rig()
  ;(await wake('app')).release()
  driver.onScale = ({ replicas }) => (replicas === 0 ? new Promise<void>(() => undefined) : undefined)
  void activator.sleep('app')
  await settle()
  const first = ask('app')
  await clock.advance(READINESS / 2)
  const second = ask('app')
  await clock.advance(READINESS / 2 - 1)
  expect([first.settled, second.settled]).toEqual([0, 0])
  await clock.advance(1)
  for (const { error } of [first, second]) expect(error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
})

test.each(['retired', 'closed'])('a target that is %s during the back-off leaves no timer', async (event) => {
  const { activator, ask, driver, clock } = await rig()
  ask('app')
  await settle()
  driver.fail('app', { code: 'CRASHED', message: 'no' })
  await settle()
  expect(clock.pending).toBe(1)
  await (event === 'retired' ? activator.retire('app') : activator.close())
  expect(clock.pending).toBe(0)
})

describe('the phase "queued"', () => {
  const wakes = { atOnce: 1, waiting: 9, turnLimit: MINUTE, groupOf: () => Promise.resolve('all') }

  test('is missing if the wake had its turn at once, however the group was found', async () => {
    const { ask, driver, clock } = await rig({}, { wakes })
    await clock.advance(1_000)
    const asked = ask('app')
    await settle()
    driver.ready('app', 1, [{ name: 'ready', at: 0 }])
    expect((await asked.promise).coldStart?.phases).toEqual([{ name: 'ready', at: 0 }])
  })

  test('is known as soon as the turn comes, even if that was after a millisecond', async () => {
    const { activator, ask, driver, clock } = await rig({}, { wakes })
    ask('one')
    await settle()
    ask('two')
    await clock.advance(1)
    driver.ready('one')
    await settle()
    expect(activator.stats('two')?.phases).toEqual([{ name: 'queued', at: 1 }])
  })
})

test('a target that is kept awake and may not be woken now is tried again later', async () => {
  const policy = (key: string) => ({ ...DEFAULT_POLICY, minReplicas: key === 'warm' ? 1 : 0 })
  const { activator, wake, clock, scaled } = await rig({}, { policy, awake: { most: 1 } })
  const lease = await wake('busy')
  activator.refresh('warm')
  await settle()
  expect(scaled()).toEqual(['busy 1'])
  lease.release()
  await clock.advance(5 * MINUTE)
  expect(scaled()).toContain('warm 1')
})
