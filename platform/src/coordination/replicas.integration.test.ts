import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { testMongo, testMongoUri } from '../../test/database.ts'
import { connectMongo, type Mongo } from '../plugins/mongo.ts'
import { joinReplicas } from './replicas.ts'

let mongo: Mongo & AsyncDisposable
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(async () => mongo[Symbol.asyncDispose]())
afterEach(() => void vi.useRealTimers())

const unheard = (): void => undefined

test('each knows which live: those that came, not those that went or fell silent', async () => {
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => joinReplicas(mongo.db, unheard)))
  expect(await one!.living()).toEqual(new Set([one!.id, two!.id, three!.id]))
  await two![Symbol.asyncDispose]()
  const silent = { $set: { seen: new Date(Date.now() - 31_000) } }
  await mongo.db.collection<{ _id: string }>('replicas').updateOne({ _id: three!.id }, silent)
  expect(await one!.living()).toEqual(new Set([one!.id]))
  const again = await joinReplicas(mongo.db, unheard)
  expect(again.id).not.toBe(two!.id)
  for (const each of [one!, three!, again]) await each[Symbol.asyncDispose]()
  expect(await mongo.db.collection('replicas').countDocuments()).toBe(0)
})

test('one that cannot be heard knows it before the others call it dead', async () => {
  const own = await connectMongo(testMongoUri())
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const errors: Error[] = []
  const replica = await joinReplicas(own.db, (error) => void errors.push(error))
  await own.db.dropDatabase()
  await own.client.close()
  vi.advanceTimersByTime(15_000)
  expect(replica.lost.aborted).toBe(false)
  vi.advanceTimersByTime(10_000)
  expect(replica.lost.aborted).toBe(true)
  await replica[Symbol.asyncDispose]()
  expect(errors.length).toBeGreaterThan(0)
})
