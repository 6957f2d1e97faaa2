import type { ScalerError } from '@fp/scaler'
import { createActivator } from '@fp/scaler'
import { FakeClock, FakeDriver, settle } from '@fp/scaler/fake'
import { expect, it } from 'vitest'
import { publicError } from '../ingress/failures.ts'
import { createTargets } from './activation.ts'
import { awakeLimits } from './awake.ts'

/** Keys are `<owner>_<app>.<version>.<revision>`. Targets are ready as soon as they are started. */
async function scene(most: number, used?: () => number) {
  const driver = new FakeDriver()
  driver.onScale = ({ key, replicas }) => {
    if (replicas > 0) driver.ready(key)
  }
  const activator = await createActivator({
    driver,
    clock: new FakeClock(),
    awake: awakeLimits({
      most,
      ownerOf: (key) => key.split('_')[0]!,
      isExempt: async (owner) => owner === 'admin',
      memory: 100,
      ...(used && { memoryOfApps: async () => ({ used: used(), limit: 1_000 }) }),
    }),
  })
  const awake = (): string[] => [...activator.targets()].map(([key]) => key)
  return { activator, awake, targets: createTargets(activator, { removeTarget: async () => undefined }) }
}

it('one app over the limit puts the user’s app to sleep that was idle longest; other users’ apps and versions do not count', async () => {
  const { targets, awake } = await scene(2)
  for (const key of ['bob_a.1.1', 'ann_a.1.1', 'ann_b.1.1', 'ann_b.2.2', 'ann_c.1.1']) await targets.wake(key)
  await settle()
  expect(awake()).toEqual(['bob_a.1.1', 'ann_b.1.1', 'ann_b.2.2', 'ann_c.1.1'])
})

it('if all are answering requests, the owner and the visitor read what to do', async () => {
  const { activator, targets } = await scene(1)
  await activator.acquire('ann_a.1.1')
  const forOwner = await targets.wake('ann_b.1.1').catch((error: unknown) => error)
  expect(forOwner).toMatchObject({
    code: 'FP_AWAKE_LIMIT',
    statusCode: 503,
    message: expect.stringContaining('Put one to sleep'),
    headers: { 'retry-after': '5' },
  })
  const error = await activator.acquire('ann_c.1.1').catch((it: unknown) => it as ScalerError)
  expect(publicError(error as ScalerError)).toMatchObject({
    code: 'FP_AWAKE_LIMIT',
    message: expect.stringContaining('The owner of this app'),
    headers: { 'retry-after': '5' },
  })
})

it('an admin may have any number awake, and so may all where the limit is 0', async () => {
  const { targets, awake } = await scene(1)
  for (const key of ['admin_a.1.1', 'admin_b.1.1']) await targets.wake(key)
  expect(awake()).toHaveLength(2)
  const unlimited = await scene(0)
  for (const key of ['ann_a.1.1', 'ann_b.1.1']) await unlimited.targets.wake(key)
  expect(unlimited.awake()).toHaveLength(2)
})

it('where apps use all memory that they may, an idle one makes room; if none is idle, the owner and the visitor read why', async () => {
  let used = 0
  const { activator, targets, awake } = await scene(0, () => used)
  await targets.wake('ann_a.1.1')
  used = 100
  const lease = await activator.acquire('bob_a.1.1')
  expect(awake()).toEqual(['bob_a.1.1'])
  const forOwner = await targets.wake('ann_b.1.1').catch((error: unknown) => error)
  expect(forOwner).toMatchObject({
    code: 'FP_MEMORY_FULL',
    statusCode: 503,
    message: expect.stringContaining('FP_MAX_AWAKE_MB'),
  })
  const error = await activator.acquire('ann_c.1.1').catch((it: unknown) => it as ScalerError)
  expect(publicError(error as ScalerError)).toMatchObject({
    code: 'FP_MEMORY_FULL',
    message: expect.stringContaining('The memory of this server'),
  })
  lease.release()
})
