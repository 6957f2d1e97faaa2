import { describe, expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { createActivator, DEFAULT_POLICY } from './activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'
import { targetFailed } from './errors.ts'
import type { Lease } from './types.ts'

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

test('the observer hears how long a request waited, and whether for a wake or for a place', async () => {
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const granted: object[] = []
  const observer = { granted: (key: string, grant: object) => void granted.push({ key, ...grant }) }
  const policy = { ...DEFAULT_POLICY, concurrency: 1 }
  const activator = await createActivator({ driver, clock, observer, policy })
  const first = activator.acquire('app')
  await clock.advance(500)
  driver.ready('app')
  const lease = await first
  const second = activator.acquire('app')
  await clock.advance(200)
  lease.release()
  ;(await second).release()
  expect(granted).toEqual([
    { key: 'app', waited: 500, cold: true },
    { key: 'app', waited: 200, cold: false },
  ])
  await activator.close()
})

test('nobody needs to observe: a target is woken, fails, and is woken again', async () => {
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const activator = await createActivator({ driver, clock })
  for (const event of ['fails', 'fails while it is woken', 'sleeps']) {
    const asked = activator.acquire('app').catch((error: unknown) => error)
    await settle()
    if (event !== 'fails while it is woken') {
      driver.ready('app')
      ;((await asked) as Lease).release()
    }
    if (event === 'sleeps') expect(await activator.sleep('app')).toBe(true)
    else driver.fail('app', { code: 'CRASHED', message: 'no' })
    if (event === 'fails while it is woken')
      expect(await asked).toMatchObject({ code: 'SCALER_TARGET_FAILED' })
    await clock.advance(1_000)
  }
  expect(driver.calls.map(({ replicas }) => replicas)).toEqual([1, 1, 0, 1, 0])
  await activator.close()
})

describe('a scale-down that failed is not tried again', () => {
  async function failed() {
    const made = await rig()
    made.driver.onScale = ({ replicas }) =>
      replicas === 0 ? Promise.reject(new Error('not now')) : undefined
    made.ask('app')
    await settle()
    made.driver.fail('app', { code: 'CRASHED', message: 'no' })
    await settle()
    made.driver.onScale = undefined
    await made.clock.advance(1_000)
    expect(made.scaled()).toEqual(['app 1', 'app 0'])
    return made
  }

  test('while the target is woken again', async () => {
    const { ask, clock, scaled } = await failed()
    ask('app')
    await clock.advance(10_000)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
  })

  test('when an endpoint has become ready nevertheless', async () => {
    const { activator, clock, driver, scaled } = await failed()
    driver.ready('app')
    await clock.advance(10_000)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(activator.stats('app')?.phase).toBe('awake')
  })

  test('but otherwise it is', async () => {
    const { clock, scaled } = await failed()
    await clock.advance(10_000)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 0'])
  })
})

test('a greater concurrency takes effect at a refresh, also for requests that wait', async () => {
  const policy = { ...DEFAULT_POLICY, concurrency: 1 }
  const { activator, ask, wake } = await rig({}, { policy: () => ({ ...policy }) })
  await wake('app')
  const asked = ask('app')
  await settle()
  expect(asked.settled).toBe(0)
  policy.concurrency = 2
  activator.refresh('app')
  await settle()
  expect(asked.lease).toBeDefined()
})

test('a closed activator decides nothing any more', async () => {
  const { activator, clock, wake } = await rig({ maxReplicas: 5 })
  ;(await wake('app')).release()
  await activator.close()
  expect(clock.pending).toBe(0)
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
