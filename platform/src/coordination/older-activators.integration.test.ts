import { createActivator, type Activator } from '@fp/scaler'
import { FakeClock, FakeDriver } from '@fp/scaler/fake'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { testMongo } from '../../test/database.ts'
import type { Mongo } from '../plugins/mongo.ts'
import { joinMembership, MEMBERS } from './membership.ts'
import { heartbeatForOlderActivators } from './older-activators.ts'
import { createMongoCoordination } from './mongo-coordination.ts'

let mongo: Mongo & AsyncDisposable
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(async () => mongo[Symbol.asyncDispose]())

const ignore = (): void => undefined

test('an activator of the previous fp version and one of this version work together', async () => {
  const clock = new FakeClock()
  const driver = new FakeDriver()
  const older = mongo.db.collection<{ _id: string; seen: Date }>(MEMBERS)
  const register = mongo.db.collection<{ _id: string; value: string }>('coordination')
  // Like the previous version: heartbeats of its replica without a role, and those of its activator in the register.
  await older.insertOne({ _id: 'r_old', seen: new Date() })
  const before: Activator = await createActivator({
    driver,
    clock,
    instance: 'r_old',
    coordination: createMongoCoordination(mongo.db),
  })
  const members = await joinMembership(mongo.db, { role: 'platform', onError: ignore, clock })
  const store = createMongoCoordination(mongo.db)
  const compatible = heartbeatForOlderActivators(members, store, ignore)
  const now: Activator = await createActivator({ driver, clock, coordination: { ...store, members } })
  const beats = async (id: string): Promise<number> =>
    JSON.parse((await register.findOne({ _id: `member/${id}` }))!.value).count
  /** Moves the clock on until so many heartbeats of both have arrived in MongoDB. */
  async function pass(times: number): Promise<void> {
    const ids = ['r_old', members.id]
    const first = await Promise.all(ids.map(beats))
    await expect
      .poll(async () => {
        await clock.advance(1_000)
        await older.updateOne({ _id: 'r_old' }, { $set: { seen: new Date() } })
        const last = await Promise.all(ids.map(beats))
        return Math.min(...last.map((count, index) => count - first[index]!))
      })
      .toBeGreaterThanOrEqual(times)
  }

  const lease = now.acquire('app')
  await expect.poll(() => driver.calls).toHaveLength(1)
  driver.ready('app')
  const used = await lease
  ;(await before.acquire('app')).release()
  // Longer than the time after which either regards the other as dead.
  await pass(12)
  expect(await before.sleep('app')).toBe(false)
  used.release()

  const other = await before.acquire('app')
  await pass(12)
  expect(await now.sleep('app')).toBe(false)
  other.release()

  await compatible[Symbol.asyncDispose]()
  expect(await register.countDocuments({ _id: `member/${members.id}` })).toBe(0)
  for (const each of [now, before]) await each.close({ signal: AbortSignal.abort() })
  await members[Symbol.asyncDispose]()
})

test('no heartbeats are sent for older activators if none is alive', async () => {
  const clock = new FakeClock()
  const members = await joinMembership(mongo.db, { role: 'platform', onError: ignore, clock })
  await mongo.db.collection<{ _id: string }>(MEMBERS).deleteOne({ _id: 'r_old' })
  const updates: string[] = []
  const store = createMongoCoordination(mongo.db)
  const watched = {
    ...store,
    update: (key: string) => Promise.resolve(void updates.push(key)),
  } as typeof store
  await clock.advance(3_000)
  await expect.poll(() => members.olderLive).toBe(false)
  const compatible = heartbeatForOlderActivators(members, watched, ignore)
  await clock.advance(30_000)
  expect(updates).toEqual([])
  await compatible[Symbol.asyncDispose]()
  await members[Symbol.asyncDispose]()
})
