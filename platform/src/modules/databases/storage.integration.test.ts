import { MongoClient, type Collection } from 'mongodb'
import { expect, test } from 'vitest'
import { HELLO, modulesBench } from '../../../test/modules.ts'
import { newId } from '../../ids.ts'
import { createMeter } from './meter.ts'
import { DatabaseStore } from './store.ts'

const MB = 2 ** 20
const REFUSED = { codeName: 'Unauthorized' }

interface Blob {
  _id: number
  text: string
}

/** A user with an app and a limit of 2 MB, and a meter that the test runs. */
async function bench() {
  const modules = await modulesBench({ databaseLimitBytes: 2 * MB })
  const userId = newId('u')
  const { body } = await modules.as(userId)('POST', '/api/apps', { name: 'shop', files: HELLO })
  const client = await MongoClient.connect(await modules.services.databases.uriFor(userId))
  const store = new DatabaseStore(modules.mongo.db, modules.mongo.client)
  let time = 0
  const meter = createMeter({
    databases: store,
    limitBytes: 2 * MB,
    onChange: () => undefined,
    log: {
      info: () => undefined,
      warn: (fields) => expect.unreachable(JSON.stringify(fields)),
      error: () => undefined,
    },
    now: () => time,
  })
  return {
    modules,
    userId,
    appId: body.app_id as string,
    client,
    blobs: client.db().collection<Blob>('blobs'),
    look: async () => {
      time += 60_000
      await meter.look(new AbortController().signal)
    },
    async [Symbol.asyncDispose]() {
      await client.close()
      await modules.mongo.client.db(`fp_${userId}`).dropDatabase()
      await modules.mongo.client.db(`fp_${userId}`).command({ dropAllUsersFromDatabase: 1 })
      await modules.mongo.client.db(`fp_${userId}`).command({ dropAllRolesFromDatabase: 1 })
      await modules[Symbol.asyncDispose]()
    },
  }
}

async function fill(blobs: Collection<Blob>): Promise<void> {
  await blobs.insertMany(Array.from({ length: 30 }, (_, _id) => ({ _id, text: 'x'.repeat(100_000) })))
}

test('a full database refuses writes and serves reads and deletes; after deleting it takes writes again', async () => {
  await using it = await bench()
  const { blobs, client } = it
  await fill(blobs)
  await it.look()

  await expect(blobs.insertOne({ _id: 100, text: '' })).rejects.toMatchObject(REFUSED)
  await expect(blobs.updateOne({ _id: 1 }, { $set: { text: '' } })).rejects.toMatchObject(REFUSED)
  await expect(blobs.createIndex({ text: 1 })).rejects.toMatchObject(REFUSED)
  await expect(client.db().createCollection('more')).rejects.toMatchObject(REFUSED)
  await expect(client.db().collection('other').insertOne({})).rejects.toMatchObject(REFUSED)
  await expect(blobs.aggregate([{ $out: 'copy' }]).toArray()).rejects.toMatchObject(REFUSED)
  await expect(blobs.aggregate([{ $merge: 'copy' }]).toArray()).rejects.toMatchObject(REFUSED)
  await expect(blobs.rename('elsewhere')).rejects.toMatchObject(REFUSED)
  expect(await blobs.countDocuments({ _id: { $lt: 10 } })).toBe(10)
  expect(await blobs.find().limit(3).toArray()).toHaveLength(3)

  expect((await blobs.deleteMany({ _id: { $gte: 5 } })).deletedCount).toBe(25)
  await it.look()
  await blobs.insertOne({ _id: 100, text: '' })
  await blobs.createIndex({ text: 1 })
})

test('the API shows the size of a database, and what to do when it is full', async () => {
  await using it = await bench()
  const get = () => it.modules.as(it.userId)('GET', '/api/database')
  expect((await get()).body).toMatchObject({
    name: `fp_${it.userId}`,
    state: 'ok',
    limit_bytes: 2 * MB,
    message: null,
  })
  await fill(it.blobs)
  await it.look()
  const { body } = await get()
  expect(body).toMatchObject({
    state: 'full',
    message: expect.stringMatching(/3 MB of 2 MB.*Delete.*FP_DATABASE_MB/),
  })
  expect(body.size_bytes).toBeGreaterThan(3_000_000)
  expect((await it.modules.as(newId('u'))('GET', '/api/database')).body).toMatchObject({
    name: null,
    size_bytes: 0,
  })
})

test('the platform measures by itself, and the log of each app of the user says that the database is full', async () => {
  await using it = await bench()
  await fill(it.blobs)
  await it.modules.services.recover()
  await expect
    .poll(() => it.modules.notes)
    .toEqual([[it.appId, expect.stringMatching(/^Your database is full/)]])
  await expect(it.blobs.insertOne({ _id: 100, text: '' })).rejects.toMatchObject(REFUSED)
})

test('a database that is full stays so when its password is replaced', async () => {
  await using it = await bench()
  const { databases } = it.modules.services
  await fill(it.blobs)
  await it.look()
  await it.modules.mongo.db.collection('databases').updateMany({}, { $set: { generation: 0 } })
  expect(await databases.replaceOldPasswords()).toBe(1)
  await using client = await MongoClient.connect(await databases.uriFor(it.userId))
  await expect(client.db().collection('blobs').insertOne({})).rejects.toMatchObject(REFUSED)
})

test('a command that is writing when the database becomes full is ended', async () => {
  await using it = await bench()
  await fill(it.blobs)
  // 30 × 30 × 30 documents of 100 KB: more than anybody wants to wait for.
  const all = (as: string): object => ({
    $lookup: { from: 'blobs', pipeline: [{ $project: { text: 1 } }], as },
  })
  const pipeline = [all('all'), { $unwind: '$all' }, all('more'), { $unset: '_id' }, { $out: 'copy' }]
  const writing = it.blobs.aggregate(pipeline).toArray()
  const ended = expect(writing).rejects.toThrow(/interrupt|kill/i)
  await expect
    .poll(() =>
      it.modules.mongo.client
        .db()
        .admin()
        .command({ currentOp: 1, $all: true, 'command.aggregate': 'blobs' })
        .then(({ inprog }) => (inprog as unknown[]).length),
    )
    .toBeGreaterThan(0)
  await it.look()
  await ended
})
