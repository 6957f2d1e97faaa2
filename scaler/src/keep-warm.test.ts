import { describe, expect, test } from 'vitest'
import { createActivator, DEFAULT_POLICY } from './activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'
import { MINUTE, rig } from '../test/harness.ts'
import type { Activator, TargetPolicy } from './types.ts'

const HOUR = 60 * MINUTE

/** Wednesday, ten to eight. */
const MORNING = Date.parse('2026-11-25T07:50:30Z')

interface Scene {
  readonly activator: Activator
  readonly driver: FakeDriver
  readonly clock: FakeClock
  readonly policy: { -readonly [name in keyof TargetPolicy]: TargetPolicy[name] }
  scaled(): string[]
}

async function scene(policy: Partial<TargetPolicy>): Promise<Scene> {
  const driver = new FakeDriver()
  driver.onScale = ({ key, replicas }) => {
    if (replicas > 0) driver.grow(key, replicas)
  }
  const clock = new FakeClock(MORNING)
  const own = { ...DEFAULT_POLICY, idleTimeout: MINUTE, ...policy }
  const activator = await createActivator({ driver, clock, policy: () => own })
  return {
    activator,
    driver,
    clock,
    policy: own,
    scaled: () => driver.calls.map((call) => `${call.key} ${call.replicas}`),
  }
}

describe('a warm window', () => {
  const windows = { warmWindows: [{ cron: '* 8-17 * * 1-5' }] }

  test('wakes the target when it begins, and lets it sleep after it ends', async () => {
    const { activator, clock, scaled } = await scene(windows)
    activator.refresh('app')
    await clock.advance(9 * MINUTE)
    expect(scaled()).toEqual([])
    await clock.advance(MINUTE)
    expect(scaled()).toEqual(['app 1'])
    await clock.advance(9 * HOUR + 59 * MINUTE)
    expect(scaled()).toEqual(['app 1'])
    await clock.advance(2 * MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    await clock.advance(12 * HOUR)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    await clock.advance(3 * HOUR)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
  })

  test('that has already begun when the policy is read applies immediately', async () => {
    const { activator, clock, scaled } = await scene({
      warmWindows: [{ cron: '* 8 * * *', timeZone: 'Europe/Berlin' }],
    })
    activator.refresh('app')
    await settle()
    expect(scaled()).toEqual(['app 1'])
    await clock.advance(12 * MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('keeps a target awake that was woken by a request', async () => {
    const { activator, clock, scaled } = await scene(windows)
    ;(await activator.acquire('app')).release()
    await clock.advance(5 * MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    await clock.advance(5 * MINUTE)
    ;(await activator.acquire('app')).release()
    await clock.advance(HOUR)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
  })

  test('that is removed from the policy leaves no timer', async () => {
    const { activator, clock, policy, scaled } = await scene(windows)
    activator.refresh('app')
    expect(clock.pending).toBe(1)
    policy.warmWindows = []
    activator.refresh('app')
    expect(clock.pending).toBe(0)
    expect(activator.stats('app')).toBeUndefined()
    expect(scaled()).toEqual([])
  })

  test('has no effect on a retired target', async () => {
    const { activator, clock, scaled } = await scene(windows)
    activator.refresh('app')
    await clock.advance(HOUR)
    await activator.retire('app')
    await clock.advance(HOUR)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(clock.pending).toBe(0)
  })
})

describe('minReplicas', () => {
  test('are started by refresh, and keep running without a request', async () => {
    const { activator, clock, scaled } = await scene({ minReplicas: 2, maxReplicas: 2 })
    activator.refresh('app')
    await clock.advance(HOUR)
    expect(scaled()).toEqual(['app 2'])
    expect(await activator.sleep('app')).toBe(false)
  })

  test('that are increased are started; without minReplicas the target becomes idle', async () => {
    const { activator, clock, policy, scaled } = await scene({ maxReplicas: 3 })
    ;(await activator.acquire('app')).release()
    policy.minReplicas = 3
    activator.refresh('app')
    await settle()
    expect(scaled()).toEqual(['app 1', 'app 3'])
    await clock.advance(HOUR)
    policy.minReplicas = 0
    activator.refresh('app')
    await clock.advance(MINUTE)
    expect(scaled().at(-1)).toBe('app 0')
  })

  test('that stop are started again, after growing delays while they fail', async () => {
    const { activator, driver, clock } = await scene({ minReplicas: 1 })
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, { code: 'IMPORT_ERROR', message: 'No module named flask' })
    }
    activator.refresh('app')
    const starts = (): number => driver.calls.filter(({ replicas }) => replicas > 0).length
    await clock.advance(10_000)
    expect(starts()).toBe(4)
    await clock.advance(10 * MINUTE)
    expect(starts()).toBeLessThan(20)
    expect(starts()).toBeGreaterThan(10)
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.grow(key, replicas)
    }
    await clock.advance(MINUTE)
    expect(activator.stats('app')?.phase).toBe('awake')
    driver.crash('app')
    await clock.advance(1_000)
    expect(activator.stats('app')?.phase).toBe('awake')
  })

  test('that failed to start are started again, even if the policy is refreshed before the retry', async () => {
    const { activator, driver, clock } = await scene({ minReplicas: 1 })
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, { code: 'IMPORT_ERROR', message: 'No module named flask' })
    }
    activator.refresh('app')
    await settle()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.grow(key, replicas)
    }
    activator.refresh('app')
    await clock.advance(1_000)
    expect(activator.stats('app')?.phase).toBe('awake')
  })
})

test('refresh of a target that need not be kept awake leaves no state', async () => {
  const { activator, clock, scaled } = await scene({})
  activator.refresh('app')
  expect(activator.stats('app')).toBeUndefined()
  expect(clock.pending).toBe(0)
  expect(scaled()).toEqual([])
})

describe('keepAwake', () => {
  test('is called before an idle target is put to sleep, and again one idle timeout later', async () => {
    let busy = true
    const asked: string[] = []
    const it = await rig(
      { idleTimeout: MINUTE },
      {
        keepAwake: (key) => {
          asked.push(key)
          return busy
        },
      },
    )
    ;(await it.wake('app')).release()
    await it.clock.advance(10 * MINUTE)
    expect(it.scaled()).toEqual(['app 1'])
    expect(asked).toHaveLength(10)
    busy = false
    await it.clock.advance(MINUTE)
    expect(it.scaled()).toEqual(['app 1', 'app 0'])
  })

  test('also prevents an explicit sleep()', async () => {
    const it = await rig({}, { keepAwake: () => Promise.resolve(true) })
    ;(await it.wake('app')).release()
    expect(await it.activator.sleep('app')).toBe(false)
    expect(it.scaled()).toEqual(['app 1'])
  })

  test('that fails keeps the target awake, and the error is reported', async () => {
    const it = await rig({ idleTimeout: MINUTE }, { keepAwake: () => Promise.reject(new Error('no answer')) })
    ;(await it.wake('app')).release()
    await it.clock.advance(3 * MINUTE)
    expect(it.scaled()).toEqual(['app 1'])
    expect(it.told).toContain('error no answer')
  })

  test('a request that arrives while the hook is pending is served, and the target stays awake', async () => {
    let say: (busy: boolean) => void = () => undefined
    const it = await rig(
      { idleTimeout: MINUTE },
      { keepAwake: () => new Promise<boolean>((resolve) => (say = resolve)) },
    )
    ;(await it.wake('app')).release()
    await it.clock.advance(MINUTE)
    const lease = await it.ask('app').promise
    say(false)
    await settle()
    expect(it.scaled()).toEqual(['app 1'])
    lease.release()
  })
})
