import { expect, test } from 'vitest'
import { gate, MINUTE, rig, type Asked, type Rig } from '../test/harness.ts'
import { createActivator } from './activator.ts'
import type { AwakeLimits } from './awake-room.ts'
import { FakeClock, FakeCoordination, FakeDriver, settle } from './drivers/fake/index.ts'
import type { Activator, Lease } from './types.ts'

/** A driver whose targets are ready as soon as they are started. Their keys are `<group>-<unit>.<version>`. */
class PromptDriver extends FakeDriver {
  /** The target that cannot be stopped. */
  stubborn: string | undefined

  override async scale(...[key, replicas, options]: Parameters<FakeDriver['scale']>): Promise<void> {
    if (key === this.stubborn && replicas === 0) throw new Error('not now')
    await super.scale(key, replicas, options)
    if (replicas > 0) this.ready(key, replicas)
  }
}

const BY_GROUP: Partial<AwakeLimits> = {
  groupOf: (key) => key.split('-')[0]!,
  unitOf: (key) => key.split('.')[0]!,
}

function scene(awake: AwakeLimits): Promise<Rig> {
  return rig({ idleTimeout: 10 * MINUTE }, { driver: new PromptDriver(), awake: { ...BY_GROUP, ...awake } })
}

/** Wakes the target, uses it once, and lets some time pass. */
async function use({ activator, clock }: Rig, key: string): Promise<void> {
  const lease = await activator.acquire(key)
  lease.release()
  await clock.advance(100)
}

const slept = ({ scaled }: Rig): string[] => scaled().flatMap((call) => /^(\S+) 0$/.exec(call)?.[1] ?? [])

async function outcome(asked: Asked): Promise<Lease | undefined> {
  await settle()
  return asked.lease
}

test('a wake over the limit of all targets puts the one to sleep that has been idle longest', async () => {
  const it = await scene({ most: 2 })
  for (const key of ['ann-a.1', 'bob-a.1', 'ann-a.1', 'ann-b.1']) await use(it, key)
  expect(slept(it)).toEqual(['bob-a.1'])
  expect([...it.activator.targets()].map(([key]) => key)).toEqual(['ann-a.1', 'ann-b.1'])
})

test('a wake over the limit of its group puts one of this group to sleep', async () => {
  const it = await scene({ mostPerGroup: 2 })
  for (const key of ['bob-a.1', 'ann-a.1', 'ann-b.1', 'ann-c.1']) await use(it, key)
  expect(slept(it)).toEqual(['ann-a.1'])
})

test('if all of the group are in use, the wake is refused at once, and the next request tries again', async () => {
  const it = await scene({ mostPerGroup: 1 })
  const lease = await it.activator.acquire('ann-a.1')
  const refused = it.ask('ann-b.1')
  await settle()
  expect(refused.error).toMatchObject({
    code: 'SCALER_AWAKE_FULL',
    statusCode: 503,
    message: expect.stringContaining('As many targets of its group are awake as may be (1), and each'),
    headers: { 'retry-after': '5' },
  })
  expect(slept(it)).toEqual([])
  lease.release()
  expect(await outcome(it.ask('ann-b.1'))).toBeDefined()
  expect(slept(it)).toEqual(['ann-a.1'])
})

test('targets of one unit count as one, and none of them is put to sleep for another', async () => {
  const it = await scene({ mostPerGroup: 1 })
  await use(it, 'ann-a.1')
  await use(it, 'ann-a.2')
  expect(slept(it)).toEqual([])
  await use(it, 'ann-b.1')
  expect(slept(it).sort()).toEqual(['ann-a.1', 'ann-a.2'])
})

test('of many wakes at once, as many are admitted as may be awake', async () => {
  const it = await scene({ mostPerGroup: 2 })
  const asked = ['a', 'b', 'c', 'd'].map((app) => it.ask(`ann-${app}.1`))
  await settle()
  expect(asked.map(({ lease }) => lease !== undefined)).toEqual([true, true, false, false])
})

test('two wakes at once put two to sleep, not the same one twice', async () => {
  const it = await scene({ most: 2 })
  await use(it, 'ann-a.1')
  await use(it, 'ann-b.1')
  const asked = [it.ask('ann-c.1'), it.ask('ann-d.1')]
  await settle()
  expect(asked.map(({ lease }) => lease !== undefined)).toEqual([true, true])
  expect(slept(it)).toEqual(['ann-a.1', 'ann-b.1'])
})

test('a group may have a limit of its own', async () => {
  const it = await scene({ mostPerGroup: async (group) => (group === 'admin' ? Infinity : 1) })
  for (const key of ['admin-a.1', 'admin-b.1', 'ann-a.1', 'ann-b.1']) await use(it, key)
  expect(slept(it)).toEqual(['ann-a.1'])
})

test('a target that its owner keeps awake or that the driver does not stop is left, and the next one sleeps', async () => {
  const driver = new PromptDriver()
  driver.stubborn = 'ann-b.1'
  const it = await rig(
    { idleTimeout: 10 * MINUTE },
    { driver, awake: { ...BY_GROUP, most: 3 }, keepAwake: (key) => key === 'ann-a.1' },
  )
  for (const key of ['ann-a.1', 'ann-b.1', 'ann-c.1', 'ann-d.1']) await use(it, key)
  expect(slept(it)).toEqual(['ann-c.1'])
  expect(it.told).toContain('error not now')
})

test('no target with a higher priority is put to sleep, and of the others the least important one', async () => {
  const it = await scene({ most: 2, priorityOf: (key) => Number(key.at(-1)) })
  await use(it, 'ann-low.1')
  await use(it, 'ann-high.9')
  await use(it, 'ann-low.1')
  await use(it, 'ann-middle.5')
  expect(slept(it)).toEqual(['ann-low.1'])
  const refused = it.ask('ann-lowest.0')
  await settle()
  expect(refused.error).toMatchObject({ code: 'SCALER_AWAKE_FULL' })
})

test('targets that run already count', async () => {
  const driver = new PromptDriver()
  driver.ready('ann-a.1')
  const it = await rig({ idleTimeout: 10 * MINUTE }, { driver, awake: { ...BY_GROUP, mostPerGroup: 1 } })
  await settle()
  await use(it, 'ann-b.1')
  expect(slept(it)).toEqual(['ann-a.1'])
})

test('a target that falls asleep by itself, or whose wake fails, makes room', async () => {
  const it = await scene({ most: 1 })
  await use(it, 'ann-a.1')
  await it.clock.advance(10 * MINUTE)
  const failing = it.driver
  failing.onScale = ({ key, replicas }) => {
    if (key === 'ann-bad.1' && replicas > 0) throw new Error('no')
  }
  await expect(it.activator.acquire('ann-bad.1')).rejects.toMatchObject({ code: 'SCALER_TARGET_FAILED' })
  await it.clock.advance(2_000)
  const lease = await it.activator.acquire('ann-b.1')
  expect(lease.endpoint.id).toContain('ann-b.1')
})

test('under pressure, idle targets sleep before their idle timeout, the longest idle first', async () => {
  let pressure = 0.7
  const it = await scene({ pressure: () => pressure })
  await use(it, 'ann-a.1')
  await it.clock.advance(4 * MINUTE)
  await use(it, 'ann-b.1')
  await it.clock.advance(MINUTE)
  expect(slept(it)).toEqual([])
  // Half of the way from 0.8 to 1: idle targets have half of their idle timeout, five minutes.
  pressure = 0.9
  await it.clock.advance(10_000)
  expect(slept(it)).toEqual(['ann-a.1'])
  pressure = 1
  await it.clock.advance(5_000)
  expect(slept(it)).toEqual(['ann-a.1', 'ann-b.1'])
})

test('at full pressure each wake first puts one to sleep, and is refused if all are in use', async () => {
  let pressure = 0
  const it = await scene({ pressure: async () => pressure })
  await use(it, 'ann-a.1')
  pressure = 1.2
  const lease = await it.activator.acquire('ann-b.1')
  expect(slept(it)).toEqual(['ann-a.1'])
  const refused = it.ask('ann-c.1')
  await settle()
  expect(refused.error).toMatchObject({ code: 'SCALER_AWAKE_FULL' })
  expect(lease.endpoint.id).toContain('ann-b.1')
})

test('a measurement of the pressure that fails stops nothing, and is reported', async () => {
  const it = await scene({ pressure: () => Promise.reject(new Error('no cgroup')) })
  await use(it, 'ann-a.1')
  expect(it.told).toContain('error no cgroup')
})

test('a closed activator looks at the pressure no more', async () => {
  const it = await scene({ pressure: () => 0 })
  await it.activator.close()
  expect(it.clock.pending).toBe(0)
})

test('a target that another activator retires while it is being admitted takes no place', async () => {
  const [driver, clock, slow] = [new FakeDriver(), new FakeClock(), gate()]
  const coordination = new FakeCoordination(clock)
  const join = (instance: string, awake?: AwakeLimits): Promise<Activator> =>
    createActivator({
      driver,
      clock,
      coordination: coordination.connect(),
      instance,
      ...(awake ? { awake } : {}),
    })
  const one = await join('one', {
    most: 1,
    groupOf: async (key) => (key === 'old' && (await slow.passed), ''),
  })
  const two = await join('two')
  const asked = expect(one.acquire('old')).rejects.toMatchObject({ code: 'SCALER_RETIRED' })
  await clock.advance(10)
  void two.retire('old').catch(() => undefined)
  await clock.advance(10)
  await asked
  slow.open()
  await clock.advance(MINUTE)
  const next = one.acquire('new')
  await clock.advance(10)
  driver.ready('new')
  expect((await next).endpoint.id).toBeDefined()
})

test('a target that another activator wakes while its admission is refused counts as awake', async () => {
  const slow = gate()
  const { activator, driver, clock, ask, wake, scaled } = await rig(
    { idleTimeout: 60 * MINUTE },
    { awake: { most: 1, groupOf: async (key) => (key === 'b' && (await slow.passed), '') } },
  )
  using _used = await wake('a')
  const asked = ask('b')
  await settle()
  driver.ready('b')
  await settle()
  asked.lease!.release()
  slow.open()
  await clock.advance(1_000)
  await expect(activator.acquire('c')).rejects.toMatchObject({ code: 'SCALER_AWAKE_FULL' })
  expect(scaled()).toContain('b 0')
})
