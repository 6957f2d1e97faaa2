import { MongoClient, type ClientSession } from 'mongodb'
import { expect, test } from 'vitest'
import { modulesBench } from '../../../test/modules.ts'
import { newId } from '../../ids.ts'
import { MAX_CURSORS, type HarmBounds } from './harm.ts'
import type { Load } from './operations.ts'
import { DatabaseStore } from './store.ts'
import { createWatcher, type Watcher } from './watcher.ts'

const AMPLE: HarmBounds = { memory: Infinity, spilled: Infinity }

/** Two users with a database each, and a watcher that the test runs. The test may change the load that it sees. */
async function bench() {
  const modules = await modulesBench()
  const store = new DatabaseStore(modules.mongo.db, modules.mongo.client)
  const users = [newId('u'), newId('u')] as const
  const [mallory, ada] = await Promise.all(
    users.map(async (userId) => MongoClient.connect(await modules.services.databases.uriFor(userId))),
  )
  const ended: [string, string][] = []
  const watcher = (
    seen: (load: Load) => Load = (load) => load,
    bounds = AMPLE,
    spilled = 0,
    onManyFiles = () => {},
  ): Watcher =>
    createWatcher({
      databases: { list: () => store.list(), load: async (names) => seen(await store.load(names)) },
      spilled: async () => spilled,
      bounds,
      onManyFiles,
      onEnded: (userId, why) => void ended.push([userId === users[0] ? 'mallory' : 'ada', why]),
      log: {
        info: () => undefined,
        warn: (fields) => ('err' in fields ? expect.unreachable(JSON.stringify(fields)) : undefined),
        error: () => undefined,
      },
    })
  for (const client of [mallory!, ada!]) {
    const notes = Array.from({ length: 300 }, (_, n) => ({ n }))
    await client.db().collection('notes').insertMany(notes)
  }
  return {
    mallory: mallory!,
    ada: ada!,
    ended,
    watcher,
    /** Whether the user has operations, all of which wait. */
    async waits(user: 'mallory' | 'ada'): Promise<boolean> {
      const names = (await store.list()).map(({ name }) => name)
      const { operations } = await store.load(names)
      const own = operations.filter(({ database }) => database === `fp_${users[user === 'mallory' ? 0 : 1]}`)
      return own.length > 0 && own.every(({ waits }) => waits)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([mallory!.close(), ada!.close()])
      for (const userId of users) {
        await modules.mongo.client.db(`fp_${userId}`).dropDatabase()
        await modules.mongo.client.db(`fp_${userId}`).command({ dropAllUsersFromDatabase: 1 })
      }
      await modules[Symbol.asyncDispose]()
    },
  }
}

interface OpenCursor {
  readonly id: unknown
  /** MongoDB allows only the session that opened a cursor to read it. */
  readonly session: ClientSession
}

/** Opens cursors that are not read to their end. */
async function openCursors(client: MongoClient, count: number): Promise<OpenCursor[]> {
  const session = client.startSession()
  const opened = await Promise.all(
    Array.from({ length: count }, () =>
      client
        .db()
        .command(
          { aggregate: 'notes', pipeline: [{ $sort: { n: -1 } }], cursor: { batchSize: 2 } },
          { session },
        ),
    ),
  )
  return opened.map(({ cursor }) => ({ id: (cursor as { id: unknown }).id, session }))
}

const readMore = (client: MongoClient, { id, session }: OpenCursor): Promise<unknown> =>
  client.db().command({ getMore: id, collection: 'notes' }, { session })

const CURSOR_NOT_FOUND = { code: 43 }

test('too many open cursors of a user are closed, those of another user stay', async () => {
  await using world = await bench()
  const [first] = await openCursors(world.ada, 2)
  const theirs = await openCursors(world.mallory, MAX_CURSORS + 1)
  await world.watcher().tick()
  await expect(readMore(world.mallory, theirs[0]!)).rejects.toMatchObject(CURSOR_NOT_FOUND)
  await expect(readMore(world.ada, first!)).resolves.toMatchObject({ ok: 1 })
  expect(world.ended).toEqual([['mallory', expect.stringMatching(/101 cursors: 100 may be open/)]])
})

test('an operation that runs for very long is ended, one that waits for changes is not', async () => {
  await using world = await bench()
  const changes = world.ada.db().collection('notes').watch([], { maxAwaitTimeMS: 60_000 })
  const change = changes.next()
  // Only then the stream waits. Before that, MongoDB still opens it.
  await expect.poll(() => world.waits('ada')).toBe(true)
  const reduce = { input: { $range: [0, 200_000] }, initialValue: 0, in: { $add: ['$$value', '$$this'] } }
  const endless = world.mallory
    .db()
    .collection('notes')
    .aggregate(Array.from({ length: 20 }, (_, n) => ({ $set: { [`f${n}`]: { $reduce: reduce } } })))
    .toArray()
    .catch((error: unknown) => error)
  const late = (load: Load): Load => ({
    ...load,
    operations: load.operations.map((each) => ({ ...each, seconds: 61 })),
  })
  await expect
    .poll(async () => {
      await world.watcher(late).tick()
      return world.ended
    })
    .toContainEqual(['mallory', expect.stringMatching(/running for more than 60 s/)])
  expect(await endless).toMatchObject({ codeName: 'Interrupted' })
  await world.ada.db().collection('notes').insertOne({ n: -1 })
  expect(await change).toMatchObject({ operationType: 'insert' })
  expect(world.ended.map(([user]) => user)).not.toContain('ada')
  await changes.close()
})

test('when uncommitted data fills the cache, the open transactions of the user with the most are ended', async () => {
  await using world = await bench()
  const begun = await Promise.all(
    [world.mallory, world.mallory, world.ada].map(async (client) => {
      const session = client.startSession()
      session.startTransaction()
      await client.db().collection('notes').insertOne({ n: 0 }, { session })
      return { client, session }
    }),
  )
  const full = (load: Load): Load => ({
    ...load,
    dirty: 0.15,
    operations: load.operations.map((each) => ({ ...each, seconds: 2 })),
  })
  await world.watcher().tick()
  expect(world.ended).toEqual([])
  await world.watcher(full).tick()
  expect(world.ended).toEqual([['mallory', expect.stringMatching(/open transactions/)]])
  const results = begun.map(({ session }) =>
    session.commitTransaction().then(
      () => 'committed',
      () => 'ended',
    ),
  )
  expect(await Promise.all(results)).toEqual(['ended', 'ended', 'committed'])
  await Promise.all(begun.map(({ session }) => session.endSession()))
})

test('many new collections and indexes of any users are noticed at once', async () => {
  await using world = await bench()
  let seen = 0
  const watcher = world.watcher(undefined, AMPLE, 0, () => seen++)
  await watcher.tick()
  await world.mallory.db().createCollection('one')
  await watcher.tick()
  expect(seen).toBe(0)
  const many = Array.from({ length: 60 }, (_, n) => ({ key: { [`f${n}`]: 1 }, name: `i${n}` }))
  for (const collection of ['two', 'three'])
    await world.mallory.db().command({ createIndexes: collection, indexes: many })
  await watcher.tick()
  expect(seen).toBe(1)
})

test('when memory or temporary files run out, the user with the most operations and cursors loses them', async () => {
  await using world = await bench()
  const much = (load: Load): Load => ({ ...load, memory: (load.memory ?? 0) + 2 ** 30 })
  for (const watcher of [
    world.watcher(much, { ...AMPLE, memory: 2 ** 30 }),
    world.watcher(undefined, { ...AMPLE, spilled: 1_000 }, 1_001),
  ]) {
    const [ada] = await openCursors(world.ada, 1)
    const [mallory] = await openCursors(world.mallory, 5)
    await watcher.tick()
    await expect(readMore(world.mallory, mallory!)).rejects.toMatchObject(CURSOR_NOT_FOUND)
    await expect(readMore(world.ada, ada!)).resolves.toMatchObject({ ok: 1 })
  }
  expect(world.ended.map(([user]) => user)).toEqual(['mallory', 'mallory'])
})
