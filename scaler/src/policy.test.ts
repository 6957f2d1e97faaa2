import { describe, expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { createActivator, DEFAULT_POLICY } from './activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'
import { checkPolicy, policyOf } from './policy.ts'
import type { TargetPolicy } from './types.ts'

describe('what a policy leaves out', () => {
  test.each([
    ['an object', { concurrency: 1 }],
    ['a function', () => ({ concurrency: 1 })],
  ])('comes from DEFAULT_POLICY: %s', async (_name, policy) => {
    const activator = await createActivator({ driver: new FakeDriver(), clock: new FakeClock(), policy })
    const asked = [activator.acquire('app'), activator.acquire('app')]
    await settle()
    expect(activator.stats('app')).toMatchObject({ phase: 'waking', queued: 2, replicas: 1 })
    await activator.close({ signal: AbortSignal.abort() })
    expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(policyOf(policy)('app')).toEqual({ ...DEFAULT_POLICY, concurrency: 1 })
  })

  test('is not copied if it is complete, because it is read for each decision', () => {
    const policy = { ...DEFAULT_POLICY }
    expect(policyOf(() => policy)('app')).toBe(policy)
  })
})

describe('a policy', () => {
  test.each<[field: string, wrong: object, allowed: string]>([
    ['concurrency', { concurrency: -1 }, 'a whole number of at least 0'],
    ['concurrency', { concurrency: 1.5 }, 'a whole number of at least 0'],
    ['queueDepth', { queueDepth: Number.NaN }, 'a whole number of at least 0, or Infinity'],
    ['queueBytes', { queueBytes: -1 }, 'a whole number of at least 0, or Infinity'],
    ['minReplicas', { minReplicas: -1 }, 'a whole number of at least 0'],
    ['maxReplicas', { maxReplicas: 0 }, 'a whole number of at least 1'],
    ['readinessTimeout', { readinessTimeout: 0 }, 'a number of at least 1 ms'],
    ['idleTimeout', { idleTimeout: Infinity }, 'a number of at least 0 ms'],
    ['idleTimeout', { idleTimeout: '15m' }, 'a number of at least 0 ms'],
    ['scaling.targetUtilization', { scaling: { targetUtilization: 70 } }, 'more than 0 and at most 1'],
    ['scaling.stableWindow', { scaling: { stableWindow: 0 } }, 'a number of at least 1 ms'],
    ['scaling.maxScaleDownRate', { scaling: { maxScaleDownRate: 1 } }, 'a number of more than 1'],
    ['scaling.targetConcurrency', { scaling: { targetConcurrency: 0 } }, 'a number of more than 0'],
  ])('with a wrong %s (%o) is refused with what is allowed', (field, wrong, allowed) => {
    expect(() => checkPolicy({ ...DEFAULT_POLICY, ...wrong } as TargetPolicy)).toThrow(
      new RegExp(`^policy\\.${field} must be ${allowed}, but is `),
    )
  })

  test('with a wrong warm window is refused', () => {
    expect(() => checkPolicy({ ...DEFAULT_POLICY, warmWindows: [{ cron: '* 8-25 * * *' }] })).toThrow(/hour/)
  })

  test('may be unlimited where that has a meaning', () => {
    checkPolicy({ ...DEFAULT_POLICY, concurrency: 0, queueDepth: Infinity, queueBytes: Infinity })
  })
})

test.each<[wrong: object, message: string]>([
  [{ idleTimeout: -1 }, 'policy.idleTimeout must be a number of at least 0 ms, but is -1.'],
  [{ idleTimout: 5 }, 'policy.idleTimout does not exist. The fields are concurrency, '],
  [{ scaling: { target: 5 } }, 'policy.scaling.target does not exist. The fields are '],
])('createActivator refuses the policy %o', async (wrong, message) => {
  const activator = createActivator({ driver: new FakeDriver(), policy: wrong })
  await expect(activator).rejects.toThrow(message)
})

test('fields of a policy that are undefined have their defaults', () => {
  const policy = { concurrency: undefined, scaling: { targetRate: undefined, stableWindow: undefined } }
  expect(policyOf(policy)('app')).toMatchObject(DEFAULT_POLICY)
  expect(policyOf(() => policy)('app')).toMatchObject(DEFAULT_POLICY)
})

test('a request to a target whose policy is not valid is rejected immediately, and leaves nothing', async () => {
  const { activator, clock } = await rig({ concurrency: -1 })
  await expect(activator.acquire('app')).rejects.toThrow('policy.concurrency must be')
  expect(() => activator.refresh('app')).toThrow(RangeError)
  expect([...activator.targets(), clock.pending]).toEqual([0])
})

test('a policy that becomes invalid is reported once, and the last valid one applies', async () => {
  const errors: string[] = []
  const own = { ...DEFAULT_POLICY, idleTimeout: MINUTE }
  let policy: TargetPolicy = own
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const observer = { error: ({ message }: Error) => void errors.push(message) }
  const activator = await createActivator({ driver, clock, observer, policy: () => ({ ...policy }) })
  const asked = activator.acquire('app')
  await settle()
  driver.ready('app')
  policy = { ...own, concurrency: -1, idleTimeout: 1 }
  ;(await asked).release()
  ;(await activator.acquire('app')).release()
  await clock.advance(MINUTE - 1)
  expect(activator.stats('app')?.phase).toBe('awake')
  expect(errors).toEqual([expect.stringContaining('policy.concurrency')])
  await clock.advance(1)
  expect(activator.stats('app')).toBeUndefined()
})

test('a running target whose policy is not valid is not adopted, and the reason is reported', async () => {
  const errors: string[] = []
  const driver = new FakeDriver()
  const observer = { error: ({ message }: Error) => void errors.push(message) }
  const policy = (): TargetPolicy => ({ ...DEFAULT_POLICY, maxReplicas: 0 })
  const activator = await createActivator({ driver, clock: new FakeClock(), observer, policy })
  driver.emit('app', { ready: [{ id: 'a', url: new URL('http://127.0.0.1:1') }] })
  expect(errors).toEqual([expect.stringContaining('policy.maxReplicas')])
  await expect(activator.acquire('app')).rejects.toThrow('policy.maxReplicas')
})
