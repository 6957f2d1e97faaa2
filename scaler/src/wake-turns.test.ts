import { describe, expect, test } from 'vitest'
import { rig } from '../test/harness.ts'
import { DEFAULT_POLICY } from './activator.ts'
import { FakeClock, settle } from './drivers/fake/index.ts'
import { ScalerError } from './errors.ts'
import type { TargetPolicy } from './types.ts'
import { DEFAULT_WAKES, WakeTurns, type WakeLimits } from './wake-turns.ts'

/** Keys are `group.name`. */
function wakesOf(limits: Partial<WakeLimits> = {}) {
  const groupOf = (key: string): string => key.split('.')[0]!
  return rig({}, { wakes: { atOnce: 2, atOncePerGroup: 1, waitingPerGroup: 3, groupOf, ...limits } })
}

describe('wakes take turns', () => {
  test('many wakes of one group do not delay another group while it has a place, and otherwise by one turn only', async () => {
    const { ask, driver, scaled } = await wakesOf()
    for (let n = 0; n < 4; n++) ask(`flood.${n}`)
    ask('quiet.0')
    ask('quiet.1')
    await settle()
    expect(scaled()).toEqual(['flood.0 1', 'quiet.0 1'])
    driver.ready('flood.0')
    await settle()
    driver.ready('quiet.0')
    await settle()
    expect(scaled()).toEqual(['flood.0 1', 'quiet.0 1', 'flood.1 1', 'quiet.1 1'])
  })

  test('a target that is awake is not affected', async () => {
    const { ask, wake, activator } = await wakesOf({ atOnce: 1 })
    const lease = await wake('quiet.0')
    ask('flood.0')
    ask('flood.1')
    await settle()
    expect(activator.tryAcquire('quiet.0')).toBeDefined()
    lease.release()
  })

  test('the time in the queue is reported as a phase before those of the driver', async () => {
    const { ask, driver, clock, told } = await wakesOf()
    ask('a.0')
    const second = ask('a.1')
    await clock.advance(300)
    driver.ready('a.0')
    await settle()
    await clock.advance(20)
    driver.ready('a.1', 1, [{ name: 'ready', at: 20 }])
    expect((await second.promise).coldStart).toEqual({
      waited: 320,
      phases: [
        { name: 'queued', at: 300 },
        { name: 'ready', at: 320 },
      ],
    })
    expect(told).not.toContainEqual(expect.stringContaining('failed'))
  })

  test('the time in the queue does not count towards the readiness timeout', async () => {
    const { ask, driver, clock } = await wakesOf({ turnLimit: DEFAULT_POLICY.readinessTimeout - 1 })
    ask('a.0')
    const second = ask('a.1')
    await clock.advance(DEFAULT_POLICY.readinessTimeout - 1)
    await settle()
    await clock.advance(DEFAULT_POLICY.readinessTimeout - 1)
    expect(second.settled).toBe(0)
    driver.ready('a.1')
    await second.promise
  })

  test('a slow wake only counts until the limit, so that it does not block the others', async () => {
    const { ask, scaled, clock } = await wakesOf({ turnLimit: 500 })
    ask('a.0')
    ask('a.1')
    await clock.advance(499)
    expect(scaled()).toEqual(['a.0 1'])
    await clock.advance(1)
    await settle()
    expect(scaled()).toEqual(['a.0 1', 'a.1 1'])
  })

  test('a wake above the waiting limit is refused without a failure of the target: its next request wakes it', async () => {
    const { ask, driver, told, scaled, activator } = await wakesOf({ waitingPerGroup: 1 })
    ask('a.0')
    ask('a.1')
    await settle()
    const third = [ask('a.2'), ask('a.2')]
    await settle()
    for (const { error } of third)
      expect(error).toMatchObject({
        code: 'SCALER_WAKES_FULL',
        statusCode: 503,
        headers: { 'retry-after': '2' },
      })
    expect(activator.stats('a.2')).toBeUndefined()
    ask('b.0')
    await settle()
    driver.ready('a.0')
    await settle()
    driver.ready('a.1')
    await settle()
    const again = ask('a.2')
    await settle()
    driver.ready('a.2')
    await again.promise
    expect(scaled()).toEqual(['a.0 1', 'b.0 1', 'a.1 1', 'a.2 1'])
    expect(told).not.toContainEqual(expect.stringContaining('failed'))
  })

  test('a wake whose turn does not come within the readiness timeout is refused, without a failure of the target', async () => {
    const readinessTimeout = 1_000
    const policy = (key: string): TargetPolicy => ({
      ...DEFAULT_POLICY,
      readinessTimeout: key === 'slow' ? 60_000 : readinessTimeout,
    })
    const { ask, told, clock } = await rig({}, { policy, wakes: { atOnce: 1, turnLimit: 60_000 } })
    ask('slow')
    const second = ask('app')
    await clock.advance(readinessTimeout)
    await settle()
    expect(second.error).toMatchObject({ code: 'SCALER_WAKES_FULL' })
    expect(told).toEqual(['waking slow', 'waking app'])
  })

  test('a driver may refuse to begin a wake, without a failure of the target', async () => {
    const { ask, wake, driver, told } = await wakesOf()
    driver.onScale = () => Promise.reject(new ScalerError('SCALER_WAKES_FULL', 'Too many are awake.'))
    const refused = ask('a.0')
    await settle()
    expect(refused.error).toMatchObject({ code: 'SCALER_WAKES_FULL', message: 'Too many are awake.' })
    driver.onScale = undefined
    const lease = await wake('a.0')
    lease.release()
    expect(told).not.toContainEqual(expect.stringContaining('failed'))
  })

  test('a failed wake releases its turn immediately', async () => {
    const { ask, driver, scaled } = await wakesOf()
    const first = ask('a.0')
    ask('a.1')
    await settle()
    driver.fail('a.0', { code: 'BROKEN', message: 'no' })
    await settle()
    expect(first.error).toMatchObject({ code: 'SCALER_TARGET_FAILED' })
    expect(scaled()).toContain('a.1 1')
  })

  test('a target that is retired while it waits leaves the queue, and the driver is not called', async () => {
    const { ask, driver, scaled, activator } = await wakesOf()
    ask('a.0')
    const second = ask('a.1')
    ask('a.2')
    await settle()
    await activator.retire('a.1')
    expect(second.error).toMatchObject({ code: 'SCALER_RETIRED' })
    driver.ready('a.0')
    await settle()
    expect(scaled()).not.toContain('a.1 1')
    expect(scaled()).toContain('a.2 1')
  })

  test('a wake waits for an asynchronous groupOf, and fails if groupOf fails', async () => {
    const groupOf = async (key: string): Promise<string> => {
      if (key === 'gone.0') throw new Error('no such app')
      return key
    }
    const { ask, driver, scaled } = await wakesOf({ groupOf })
    const gone = ask('gone.0')
    ask('a.0')
    await settle()
    driver.ready('a.0')
    expect(gone.error).toMatchObject({ code: 'SCALER_TARGET_FAILED', failure: { message: 'no such app' } })
    expect(scaled()).toContain('a.0 1')
  })
})

test('a refused wake is said to be one of a group only if there are groups', async () => {
  for (const [groupOf, text] of [
    [undefined, 'Too many targets are waiting'],
    [() => 'a', 'Too many targets of its group are waiting'],
  ] as const) {
    const { ask } = await wakesOf({ waitingPerGroup: 0, groupOf })
    ask('a.0')
    const refused = ask('a.1')
    await settle()
    expect(refused.error).toMatchObject({
      code: 'SCALER_WAKES_FULL',
      message: expect.stringContaining(text) as string,
    })
  }
})

test('a wake that had to wait for its turn, and then takes too long, has failed', async () => {
  const { ask, driver, clock } = await wakesOf()
  ask('a.0')
  const second = ask('a.1')
  await clock.advance(100)
  driver.ready('a.0')
  await clock.advance(DEFAULT_POLICY.readinessTimeout)
  expect(second.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
})

describe('a turn', () => {
  const turnsOf = (): WakeTurns => new WakeTurns(new FakeClock(), { ...DEFAULT_WAKES, atOnce: 1 })

  test('that is taken again is released before', () => {
    const turn = turnsOf().of('a')
    expect([turn.take(), turn.take(), turn.waits]).toEqual([true, true, false])
  })

  test('that nobody waits for any more is not taken', async () => {
    const turns = turnsOf()
    const [one, two] = [turns.of('a'), turns.of('b')]
    one.take()
    const waits = two.take()
    expect(two.waits).toBe(true)
    two.leave()
    expect([await waits, two.waits]).toEqual([false, false])
  })

  test('that comes in the moment in which nobody waits for it any more is released', async () => {
    const turns = turnsOf()
    const [one, two] = [turns.of('a'), turns.of('b')]
    one.take()
    const waits = two.take()
    await settle()
    one.leave()
    two.leave()
    expect(await waits).toBe(false)
    expect(turns.of('c').take()).toBe(true)
  })
})
