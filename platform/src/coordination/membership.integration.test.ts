import { FakeClock } from '@fp/scaler/fake'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { testMongo, testMongoUri } from '../../test/database.ts'
import { connectMongo, type Mongo } from '../plugins/mongo.ts'
import { joinMembership, MEMBERS, type Membership } from './membership.ts'

let mongo: Mongo & AsyncDisposable
let joined: Membership[] = []
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(async () => mongo[Symbol.asyncDispose]())
afterEach(async () => {
  for (const each of joined) await each[Symbol.asyncDispose]()
  joined = []
})

async function join(clock = new FakeClock()): Promise<Membership & { clock: FakeClock }> {
  const member = await joinMembership(mongo.db, { role: 'platform', onError: () => undefined, clock })
  joined.push(member)
  return Object.assign(member, { clock })
}

/** Makes MongoDB see a process that stopped sending heartbeats some time ago. */
async function silence(id: string, ms = 21_000): Promise<void> {
  const silent = { $set: { seen: new Date(Date.now() - ms) } }
  await mongo.db.collection<{ _id: string }>(MEMBERS).updateOne({ _id: id }, silent)
}

test('each member knows the living ones: those that joined, not those that left or fell silent', async () => {
  const [one, two, three] = [await join(), await join(), await join()]
  expect(await one.living()).toEqual(new Set([one.id, two.id, three.id]))
  await two[Symbol.asyncDispose]()
  await silence(three.id)
  expect(await one.living()).toEqual(new Set([one.id]))
  const again = await join()
  expect(again.id).not.toBe(two.id)
  for (const each of joined.splice(0)) await each[Symbol.asyncDispose]()
  expect(await mongo.db.collection(MEMBERS).countDocuments()).toBe(0)
})

test('watchers notice a departure at once, a death at the next heartbeat, and never take an arrival for a death', async () => {
  const [one, two, three] = [await join(), await join(), await join()]
  let calls = 0
  using _watch = one.watch(() => calls++)
  // This member has joined since the last reading.
  expect(one.isDead(two.id)).toBe(false)
  await two[Symbol.asyncDispose]()
  await expect.poll(() => one.isDead(two.id)).toBe(true)
  expect(calls).toBeGreaterThan(0)

  await silence(three.id)
  expect(one.isDead(three.id)).toBe(false)
  await one.clock.advance(3_000)
  await expect.poll(() => one.isDead(three.id)).toBe(true)
  expect(one.isDead('r_never')).toBe(false)
  await one.clock.advance(3_000)
  await expect.poll(() => one.isDead('r_never')).toBe(true)
})

test('a member that is dead by MongoDB’s clock is lost, and joins again under another id', async () => {
  const [one, two] = [await join(), await join()]
  const { id, lost } = two
  await silence(id)
  await two.clock.advance(3_000)
  await expect.poll(() => lost.aborted).toBe(true)
  await two.clock.advance(3_000)
  await expect.poll(() => two.id).not.toBe(id)
  expect(two.lost.aborted).toBe(false)
  expect(await one.living()).toEqual(new Set([one.id, two.id]))
})

test('a replica of the previous fp version is noticed while it is alive', async () => {
  const older = mongo.db.collection<{ _id: string; seen: Date }>(MEMBERS)
  await older.insertOne({ _id: 'r_old', seen: new Date() })
  const one = await join()
  expect([one.olderLive, one.isDead('r_old')]).toEqual([true, false])
  await silence('r_old')
  await one.clock.advance(3_000)
  await expect.poll(() => one.olderLive).toBe(false)
  expect(one.isDead('r_old')).toBe(true)
  await older.deleteOne({ _id: 'r_old' })
})

test('a member that cannot send heartbeats notices it before the others regard it as dead', async () => {
  const own = await connectMongo(testMongoUri())
  const errors: Error[] = []
  const clock = new FakeClock()
  const member = await joinMembership(own.db, {
    role: 'platform',
    onError: (error) => void errors.push(error),
    clock,
  })
  let told = 0
  using _watch = member.watch(() => told++)
  await own.db.dropDatabase()
  await own.client.close()
  await clock.advance(11_000)
  expect(member.lost.aborted).toBe(false)
  await clock.advance(1_000)
  expect(member.lost.aborted).toBe(true)
  expect(told).toBeGreaterThan(0)
  await member[Symbol.asyncDispose]()
  expect(errors.length).toBeGreaterThan(0)
})
