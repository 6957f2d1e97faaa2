import { MongoClient } from 'mongodb'
import { describeCoordinationContract, type CoordinationUnderTest } from '@fp/scaler/contract'
import * as vitest from 'vitest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lineTo } from '../../test/cut-off.ts'
import { testMongo, testMongoUri } from '../../test/database.ts'
import { connectMongo, type Mongo } from '../plugins/mongo.ts'
import { createMongoCoordination } from './mongo-coordination.ts'

async function start(): Promise<CoordinationUnderTest> {
  const uri = testMongoUri()
  const [one, two] = await Promise.all([connectMongo(uri), connectMongo(uri)])
  return {
    one: createMongoCoordination(one.db),
    two: createMongoCoordination(two.db),
    async [Symbol.asyncDispose]() {
      await one.db.dropDatabase()
      await Promise.all([one.client.close(), two.client.close()])
    },
  }
}
describeCoordinationContract('MongoDB', { start }, vitest)

let mongo: Mongo & AsyncDisposable
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(async () => mongo[Symbol.asyncDispose]())

const { signal } = new AbortController()
const news = (): { heard: unknown[]; onChange: (key: string, value: unknown) => void } => {
  const heard: unknown[] = []
  return { heard, onChange: (key, value) => void heard.push([key, value]) }
}

test('an update without a conflict is one command, one with a conflict two', async () => {
  await using line = await lineTo(address())
  const client = await through(line.port, { monitorCommands: true })
  const commands: string[] = []
  client.on('commandStarted', ({ commandName }) => void commands.push(commandName))
  const coordination = createMongoCoordination(client.db(mongo.db.databaseName), { collection: 'trips' })
  const other = createMongoCoordination(mongo.db, { collection: 'trips' })
  const add = (at: typeof other): Promise<unknown> =>
    at.update<{ n: number }>('a', (now) => ({ n: (now?.n ?? 0) + 1 }), { signal })

  await add(coordination)
  await add(coordination)
  await coordination.update('a', () => undefined, { signal })
  await add(coordination)
  expect(commands).toEqual(['findAndModify', 'findAndModify', 'delete', 'findAndModify'])
  commands.length = 0
  await add(other)
  expect(await add(coordination)).toEqual({ n: 3 })
  expect(commands).toEqual(['findAndModify', 'findAndModify'])
  await client.close()
})

test('a watcher that was disconnected gets all changes that it has missed', async () => {
  await using line = await lineTo(address())
  const client = await through(line.port)
  const errors: Error[] = []
  const cutOff = createMongoCoordination(client.db(mongo.db.databaseName), {
    collection: 'gaps',
    onError: (error) => void errors.push(error),
  })
  const other = createMongoCoordination(mongo.db, { collection: 'gaps' })
  const put = (key: string, value: { n: number } | undefined): Promise<unknown> =>
    other.update(key, () => value, { signal })
  await put('gone', { n: 1 })
  await put('changed', { n: 1 })
  await put('same', { n: 1 })
  const { heard, onChange } = news()
  const watch = await cutOff.watch(onChange)
  expect(heard).toHaveLength(3)

  heard.length = 0
  line.cut()
  await expect.poll(() => errors.length, { timeout: 10_000 }).toBeGreaterThan(0)
  await put('gone', undefined)
  await put('changed', { n: 2 })
  await put('new', { n: 3 })
  line.mend()
  await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(3)
  expect(heard).toEqual(
    expect.arrayContaining([
      ['gone', undefined],
      ['changed', { n: 2 }],
      ['new', { n: 3 }],
    ]),
  )
  await put('changed', { n: 4 })
  await expect.poll(() => heard.at(-1)).toEqual(['changed', { n: 4 }])
  await watch[Symbol.asyncDispose]()
  await client.close()
})

test('a register that was dropped is empty, and still works', async () => {
  const coordination = createMongoCoordination(mongo.db, { collection: 'dropped' })
  await coordination.update('a', () => ({ n: 1 }), { signal })
  const { heard, onChange } = news()
  const watch = await coordination.watch(onChange)
  await mongo.db.dropCollection('dropped')
  await expect
    .poll(() => heard, { timeout: 10_000 })
    .toEqual([
      ['a', { n: 1 }],
      ['a', undefined],
    ])
  await coordination.update('a', () => ({ n: 2 }), { signal })
  await expect.poll(() => heard.at(-1), { timeout: 10_000 }).toEqual(['a', { n: 2 }])
  await watch[Symbol.asyncDispose]()
})

test('an update without an answer ends with its signal', async () => {
  await using line = await lineTo(address())
  const client = await through(line.port)
  const coordination = createMongoCoordination(client.db(mongo.db.databaseName), { collection: 'late' })
  await coordination.update('a', () => ({ n: 1 }), { signal })
  line.cut()
  const limit = new AbortController()
  const late = coordination.update('a', () => ({ n: 2 }), { signal: limit.signal })
  const reason = new Error('took too long')
  limit.abort(reason)
  await expect(late).rejects.toBe(reason)
  await client.close()
})

function address(): string {
  return mongo.client.options.hosts[0]!.socketPath!
}

/** Bypasses the replica set's own address, which would avoid the proxy of the test. */
function through(port: number, options = {}): Promise<MongoClient> {
  const uri = new URL(testMongoUri())
  uri.host = `127.0.0.1:${port}`
  uri.pathname = '/'
  for (const name of ['replicaSet']) uri.searchParams.delete(name)
  uri.searchParams.set('directConnection', 'true')
  return MongoClient.connect(uri.href, {
    serverSelectionTimeoutMS: 2_000,
    heartbeatFrequencyMS: 500,
    ...options,
  })
}
