import type { Db } from 'mongodb'
import { expect, test, vi } from 'vitest'
import { testMongo } from '../../test/database.ts'
import { MIGRATIONS } from './index.ts'
import { migrate, type Migration } from './migrate.ts'

const log = { info: () => undefined }

function migration(number: number, up: (db: Db) => Promise<void> = async () => undefined): Migration {
  return { number, name: `do number ${number}`, up }
}

test('each migration runs once, in order, even with several processes', async () => {
  await using mongo = await testMongo()
  const ran: number[] = []
  const list = [1, 2, 3].map((number) => migration(number, async () => void ran.push(number)))
  await Promise.all([1, 2, 3, 4].map(() => migrate(mongo.db, list, log)))
  expect(ran).toEqual([1, 2, 3])
  await migrate(mongo.db, list, log)
  await migrate(mongo.db, [...list, migration(4, async () => void ran.push(4))], log)
  expect(ran).toEqual([1, 2, 3, 4])
})

test('a new installation logs nothing about migrations', async () => {
  await using mongo = await testMongo()
  const info = vi.fn()
  await migrate(mongo.db, MIGRATIONS, { info })
  expect(info).not.toHaveBeenCalled()
})

test('a process that starts meanwhile waits for the end', async () => {
  await using mongo = await testMongo()
  const held = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const up = vi.fn(async () => {
    begun.resolve()
    await held.promise
  })
  const first = migrate(mongo.db, [migration(1, up)], log)
  await begun.promise
  let done = false
  const second = migrate(mongo.db, [migration(1, up)], log).then(() => (done = true))
  expect(done).toBe(false)
  held.resolve()
  await Promise.all([first, second])
  expect(up).toHaveBeenCalledTimes(1)
})

test('a failed or interrupted migration is run again from its beginning', async () => {
  await using mongo = await testMongo()
  const up = vi.fn(async () => undefined).mockRejectedValueOnce(new Error('no disk'))
  // The lock of the process that failed is free after its time.
  await expect(migrate(mongo.db, [migration(1, up)], log, { lockMs: 1 })).rejects.toThrow('no disk')
  await migrate(mongo.db, [migration(1, up)], log)
  expect(up).toHaveBeenCalledTimes(2)
})

test('an older platform refuses data of a newer one', async () => {
  await using mongo = await testMongo()
  await migrate(mongo.db, [migration(1), migration(2)], log)
  await expect(migrate(mongo.db, [migration(1)], log)).rejects.toThrow(
    /data of a newer version of fp \(form 2; this version knows forms up to 1\)/,
  )
})

test('the migrations are numbered from 1 without gaps', () => {
  expect(MIGRATIONS.map(({ number }) => number)).toEqual(MIGRATIONS.map((_, index) => index + 1))
})

test('documents of the first release get the fields that came later', async () => {
  await using mongo = await testMongo()
  const { db } = mongo
  type Doc = { _id: string; storage?: boolean; entrypoint?: string | null }
  await db
    .collection<Doc>('apps')
    .insertMany([{ _id: 'old' }, { _id: 'new', storage: true, entrypoint: 'x.py' }])
  await db.collection<Doc>('drafts').insertOne({ _id: 'old' })
  await db.collection<Doc>('versions').insertOne({ _id: 'old.1' })
  const info = vi.fn()
  await migrate(db, MIGRATIONS, { info })
  expect(info).toHaveBeenCalledTimes(MIGRATIONS.length)
  expect(await db.collection('apps').find().sort({ _id: 1 }).toArray()).toEqual([
    { _id: 'new', storage: true, entrypoint: 'x.py' },
    { _id: 'old', storage: false, entrypoint: null },
  ])
  expect(await db.collection('drafts').findOne()).toEqual({ _id: 'old', assets: [], assetsRevision: 0 })
  expect(await db.collection('versions').findOne()).toEqual({
    _id: 'old.1',
    assets: [],
    entrypoint: 'app.py',
  })
})
