import type { Driver, TargetStats } from '@fp/scaler'
import { beforeEach, expect, it } from 'vitest'
import { limitAwake } from './awake-limit.ts'

const options = { signal: new AbortController().signal }
let targets: Map<string, TargetStats>
let scaled: string[]
let slept: string[]
let driver: Driver

/** Keys are `<owner>-<app>.<version>.<revision>`. */
const ownerOf = (key: string): string => key.split('-')[0]!

function has(key: string, stats: Partial<TargetStats>): void {
  const zero = { inFlight: 0, queued: 0, endpoints: 1, replicas: 1, generation: 1, phases: [] }
  targets.set(key, { phase: 'awake', ...zero, ...stats })
}

beforeEach(() => {
  targets = new Map()
  scaled = []
  slept = []
  driver = limitAwake({
    driver: {
      name: 'recorded',
      scale: async (key, replicas) => void scaled.push(`${key} ${replicas}`),
      watch: () => Promise.reject(new Error('not expected')),
      probe: async (_key, { id }) => id === 'alive',
    },
    most: 2,
    ownerOf,
    isExempt: async (userId) => userId === 'admin',
    activator: () => ({
      targets: () => targets,
      sleep: async (key) => {
        slept.push(key)
        targets.delete(key)
        return true
      },
    }),
  })
})

it('passes probes on', async () => {
  const probe = (id: string): Promise<boolean> | undefined =>
    driver.probe?.('ann-a.1.1', { id, url: new URL('unix:/run/app.sock') }, options.signal)
  expect([await probe('alive'), await probe('dead')]).toEqual([true, false])
})

it('waking one app over the limit puts the one to sleep that was idle longest', async () => {
  has('ann-a.1.1', { idleSince: 200 })
  has('ann-b.1.1', { idleSince: 100 })
  has('bob-a.1.1', { idleSince: 1 })
  await driver.scale('ann-c.1.1', 1, options)
  expect(slept).toEqual(['ann-b.1.1'])
  expect(scaled).toEqual(['ann-c.1.1 1'])
})

it('if all are answering requests, the wake is refused, and the error says what to do', async () => {
  has('ann-a.1.1', { inFlight: 1 })
  has('ann-b.1.1', { inFlight: 1 })
  await expect(driver.scale('ann-c.1.1', 1, options)).rejects.toMatchObject({
    code: 'SCALER_WAKES_FULL',
    failure: { code: 'FP_AWAKE_LIMIT', message: expect.stringMatching(/^2 of your apps.*Put one to sleep/) },
    headers: { 'retry-after': '5' },
  })
  expect([scaled, slept]).toEqual([[], []])
})

it('other users’ apps, other versions of the same app and targets being retired do not count', async () => {
  has('ann-a.1.1', { inFlight: 1 })
  has('bob-a.1.1', { inFlight: 1 })
  has('bob-b.1.1', { inFlight: 1 })
  has('ann-c.1.1', { inFlight: 1 })
  await driver.scale('ann-c.2.2', 1, options)
  await driver.scale('bob-b.1.1', 0, options)
  expect(scaled).toEqual(['ann-c.2.2 1', 'bob-b.1.1 0'])
})

it('of many apps that wake at once, as many are admitted as may be awake', async () => {
  const keys = ['ann-a.1.1', 'ann-b.1.1', 'ann-c.1.1', 'ann-d.1.1']
  for (const key of keys) has(key, { phase: 'waking', queued: 1 })
  const outcomes = await Promise.allSettled(keys.map((key) => driver.scale(key, 1, options)))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
})

it('an admin may have any number awake', async () => {
  for (const app of ['a', 'b', 'c']) has(`admin-${app}.1.1`, { inFlight: 1 })
  await driver.scale('admin-d.1.1', 1, options)
  expect(scaled).toEqual(['admin-d.1.1 1'])
})
