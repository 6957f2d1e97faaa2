import { afterAll, beforeAll, expect, test } from 'vitest'
import { testMongo } from '../../../test/database.ts'
import type { Mongo } from '../../plugins/mongo.ts'
import type { BlobId } from './asset.ts'
import { BlobStore } from './store.ts'

let mongo: Mongo & AsyncDisposable
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(() => mongo[Symbol.asyncDispose]())

test('the sweep does not read contents that something refers to', async () => {
  const store = new BlobStore(mongo.db)
  await store.createIndexes()
  const past = new Date('2026-01-01')
  const id = (n: number): BlobId => `u_1:${n}` as BlobId
  for (let n = 0; n < 20; n++) await store.put(id(n), 'u_1', Buffer.from(`content ${n}`), past)
  for (const due of (await store.due(new Date(), 18)).slice(0, 18)) await store.settle(due, true)

  await mongo.db.command({ profile: 2 })
  expect(await store.due(new Date(), 100)).toHaveLength(2)
  await mongo.db.command({ profile: 0 })
  const [query] = await mongo.db.collection('system.profile').find({ op: 'query' }).toArray()
  expect(query).toMatchObject({ docsExamined: 2, planSummary: expect.stringContaining('IXSCAN') })
})
