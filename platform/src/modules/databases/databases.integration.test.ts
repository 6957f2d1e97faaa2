import { MongoClient } from 'mongodb'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { testMongo } from '../../../test/database.ts'
import { newId } from '../../ids.ts'
import { socketHost } from '../../mongod/sockets.ts'
import type { Mongo } from '../../plugins/mongo.ts'
import { createSecretBox } from '../secrets/box.ts'
import { createDatabaseService, type DatabaseService } from './service.ts'
import { DatabaseStore } from './store.ts'

let mongo: Mongo & AsyncDisposable
let host: string
const box = createSecretBox(randomBytes(32))
const made: string[] = []

beforeAll(async () => {
  mongo = await testMongo()
  host = socketHost(inject('mongoSockets').platform)
})
afterAll(async () => {
  for (const userId of made) {
    await mongo.client.db(`fp_${userId}`).dropDatabase()
    await mongo.client.db(`fp_${userId}`).command({ dropAllUsersFromDatabase: 1 })
  }
  await mongo[Symbol.asyncDispose]()
})

function service(): DatabaseService {
  const store = new DatabaseStore(mongo.db, mongo.client)
  return createDatabaseService({
    store,
    box,
    mongoHost: host,
    mongoOptions: { directConnection: 'true' },
    limitBytes: 512 * 2 ** 20,
    now: () => new Date(),
  })
}

function newUser(): string {
  const id = newId('u')
  made.push(id)
  return id
}

function passwordIn(uri: string): string {
  return /:([^:@]+)@/.exec(uri)![1]!
}

async function as<T>(uri: string, work: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = await MongoClient.connect(uri, { serverSelectionTimeoutMS: 3_000 })
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

test('a user has all rights on their own database and no others', async () => {
  const databases = service()
  const [ann, bob] = [newUser(), newUser()]
  const [annUri, bobUri] = [await databases.uriFor(ann), await databases.uriFor(bob)]
  await as(bobUri, (client) => client.db().collection('notes').insertOne({ text: "bob's" }))

  await as(annUri, async (client) => {
    expect(client.db().databaseName).toBe(`fp_${ann}`)
    const notes = client.db().collection('notes')
    await notes.insertMany([{ n: 1 }, { n: 2 }])
    await notes.createIndex({ n: 1 }, { unique: true })
    expect(await notes.countDocuments({ n: { $gt: 1 } })).toBe(1)
    await client.withSession((session) =>
      session.withTransaction(
        async () => void (await notes.updateOne({ n: 1 }, { $set: { n: 9 } }, { session })),
      ),
    )
    await using changes = notes.watch()
    const change = changes.next()
    await client.db().createCollection('more')
    await notes.insertOne({ n: 3 })
    expect(await change).toMatchObject({ operationType: 'insert' })
    await notes.drop()

    const bobs = client.db(`fp_${bob}`)
    const refused = { codeName: 'Unauthorized' }
    await expect(bobs.collection('notes').find().toArray()).rejects.toMatchObject(refused)
    await expect(bobs.collection('notes').insertOne({})).rejects.toMatchObject(refused)
    await expect(bobs.dropDatabase()).rejects.toMatchObject(refused)
    await expect(bobs.listCollections().toArray()).rejects.toMatchObject(refused)
    await expect(client.db(mongo.db.databaseName).collection('apps').findOne()).rejects.toMatchObject(refused)
    await expect(client.db('admin').command({ usersInfo: 1 })).rejects.toMatchObject(refused)
    await expect(client.db().command({ createUser: 'x', pwd: 'x', roles: [] })).rejects.toMatchObject(refused)
    await expect(
      client.db().command({ grantRolesToUser: `fp_${ann}`, roles: ['root'] }),
    ).rejects.toMatchObject(refused)
    await expect(client.db('admin').command({ serverStatus: 1 })).rejects.toMatchObject(refused)
    await expect(client.db('admin').command({ shutdown: 1 })).rejects.toMatchObject(refused)
    await expect(client.db('local').collection('oplog.rs').findOne()).rejects.toMatchObject(refused)
    await expect(
      client
        .db()
        .collection('x')
        .aggregate([{ $out: { db: `fp_${bob}`, coll: 'x' } }])
        .toArray(),
    ).rejects.toThrow()
    await expect(
      client
        .db()
        .collection('x')
        .aggregate([{ $currentOp: { allUsers: true } }])
        .toArray(),
    ).rejects.toThrow()
    const { databases: seen } = await client.db('admin').command({ listDatabases: 1, nameOnly: true })
    expect(seen.map((one: { name: string }) => one.name)).not.toContain(`fp_${bob}`)
  })

  // The right name with another user's password, and the right log-in on another user's database.
  const password = passwordIn(annUri)
  const stolen = bobUri.replace(/:[^:@]*@/, `:${password}@`)
  await expect(as(stolen, (client) => client.db().collection('notes').findOne())).rejects.toMatchObject({
    codeName: 'AuthenticationFailed',
  })
})

test('it is created once, even by concurrent calls, and stays the same', async () => {
  const user = newUser()
  const uris = await Promise.all(
    Array.from({ length: 12 }, (_, n) => (n % 2 ? service() : service()).uriFor(user)),
  )
  expect(new Set(uris).size).toBe(1)
  await as(uris[0]!, (client) => client.db().collection('a').insertOne({}))
  expect(await service().uriFor(user)).toBe(uris[0])
})

test('a creation that was interrupted before or after creating the user is completed', async () => {
  const databases = mongo.db.collection<{ _id: string }>('databases')
  const [early, late] = [newUser(), newUser()]
  await new DatabaseStore(mongo.db, mongo.client).reserve(
    {
      userId: early,
      name: `fp_${early}`,
      password: box.seal('early', `database\0${early}`),
      generation: 1,
    },
    new Date(),
  )
  await as(await service().uriFor(early), (client) => client.db().collection('a').insertOne({}))

  await service().uriFor(late)
  // The record was lost, and the MongoDB user exists with another password.
  await databases.deleteOne({ _id: late })
  await as(await service().uriFor(late), (client) => client.db().collection('a').insertOne({}))
})

test('the address has the present host, and the stored password is sealed', async () => {
  const user = newUser()
  const uri = await service().uriFor(user)
  const store = new DatabaseStore(mongo.db, mongo.client)
  const moved = createDatabaseService({
    store,
    box,
    mongoHost: 'a.example:27018,b.example:27018',
    limitBytes: 512 * 2 ** 20,
    now: () => new Date(),
  })
  expect(await moved.uriFor(user)).toMatch(
    new RegExp(
      `^mongodb://fp_${user}:[^@]+@a\\.example:27018,b\\.example:27018/fp_${user}\\?authSource=fp_${user}$`,
    ),
  )
  const password = passwordIn(uri)
  expect(JSON.stringify(await mongo.db.collection('databases').find().toArray())).not.toContain(password)
  await expect(service().uriFor('U_Odd/Id')).rejects.toThrow('cannot name a database')
})

test('a password from before apps were isolated in memory is replaced', async () => {
  const databases = service()
  const [ann, bob] = [newUser(), newUser()]
  const [annsOld, bobs] = [await databases.uriFor(ann), await databases.uriFor(bob)]
  const records = mongo.db.collection<{ _id: string }>('databases')
  await records.updateOne({ _id: ann }, { $unset: { generation: 1 } })

  expect(await databases.replaceOldPasswords()).toBe(1)
  await expect(as(annsOld, (client) => client.db().command({ ping: 1 }))).rejects.toThrow(
    'Authentication failed',
  )
  const annsNew = await databases.uriFor(ann)
  expect(annsNew).not.toBe(annsOld)
  await as(annsNew, (client) => client.db().collection('notes').insertOne({ text: 'hers' }))
  expect(await databases.uriFor(bob)).toBe(bobs)
  expect(await databases.replaceOldPasswords()).toBe(0)
})

test('a replacement that was interrupted before MongoDB had the new password is completed by the next one', async () => {
  const databases = service()
  const ann = newUser()
  const old = await databases.uriFor(ann)
  const store = new DatabaseStore(mongo.db, mongo.client)
  const record = (await store.find(ann))!
  const password = box.seal('replaced', `database\0${ann}`)
  await store.replacePassword(record, { password, generation: record.generation })

  expect(await databases.replaceOldPasswords()).toBe(1)
  await expect(as(old, (client) => client.db().command({ ping: 1 }))).rejects.toThrow('Authentication failed')
  expect(await databases.uriFor(ann)).toContain(':replaced@')
})
