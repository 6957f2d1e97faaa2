import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { testMongo } from '../../../test/database.ts'
import { LogStore, type PodLine } from './log-store.ts'
import { padded } from './log-lines.ts'

let mongo: Awaited<ReturnType<typeof testMongo>>
let logs: LogStore
beforeEach(async () => {
  mongo = await testMongo()
  logs = new LogStore(mongo.db)
  await logs.createIndexes()
})
afterEach(async () => {
  vi.useRealTimers()
  await mongo[Symbol.asyncDispose]()
})

function line(number: number, { appId = 'a', pod = 'a-1' } = {}): PodLine {
  const stamp = padded(new Date(Date.UTC(2026, 0, 1) + number).toISOString())!
  return { appId, pod, stamp, text: `line ${number}` }
}
const texts = async (lines: number): Promise<string[]> =>
  (await logs.tail('a', lines)).map(({ text }) => text)
const count = (appId = 'a'): Promise<number> => mongo.db.collection('app_logs').countDocuments({ appId })

test('an app has the lines of all of its pods, in the order in which they were written', async () => {
  await logs.append([line(1), line(4)])
  await logs.append([line(3, { pod: 'a-2' }), line(2, { pod: 'a-2' })])
  await logs.append([line(5, { appId: 'b', pod: 'b-1' })])
  expect(await texts(10)).toEqual(['line 1', 'line 2', 'line 3', 'line 4'])
  expect(await texts(2)).toEqual(['line 3', 'line 4'])
  expect(await logs.last('a-1')).toBe(line(4).stamp)
  expect(await logs.last('a-3')).toBeUndefined()
})

test('a line has its time, pod and version', async () => {
  await logs.append([{ ...line(1), version: 3 }])
  await logs.note('a', 'The database is full.')
  expect(await logs.tail('a', 10)).toEqual([
    { time: line(1).stamp, stream: 'output', instance: 'a-1', version: 3, text: 'line 1' },
    {
      time: expect.stringMatching(/Z$/) as string,
      stream: 'platform',
      instance: null,
      version: null,
      text: 'The database is full.',
    },
  ])
})

test('all notes of one millisecond are kept in their order, also those of another replica', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1) })
  await Promise.all(['one', 'two', 'three'].map((text) => logs.note('a', text)))
  await new LogStore(mongo.db).note('a', 'four')
  // The clock of a machine may be set back.
  vi.setSystemTime(Date.UTC(2025, 0, 1))
  await logs.note('a', 'five')
  expect(await texts(10)).toEqual(['one', 'two', 'three', 'four', 'five'])
  vi.setSystemTime(Date.UTC(2026, 0, 1) + 1)
  await logs.note('a', 'six')
  expect((await logs.tail('a', 1))[0]).toMatchObject({ time: '2026-01-01T00:00:00.001000000Z', text: 'six' })
})

test('lines that older versions stored are read', async () => {
  const { stamp } = line(1)
  const at = new Date()
  await mongo.db.collection('app_logs').insertMany([
    { appId: 'a', pod: 'app-a-2-5-7d9f-x1', stamp, text: '[fp] says the app', at },
    { appId: 'a', pod: 'pool-9x', stamp: line(2).stamp, text: 'from the pool', at },
    { appId: 'a', pod: 'fp-a', stamp: line(3).stamp, text: '[fp] The database is full.', at },
  ])
  expect(await logs.tail('a', 10)).toMatchObject([
    { time: stamp, stream: 'output', instance: 'app-a-2-5-7d9f-x1', version: 2, text: '[fp] says the app' },
    { stream: 'output', instance: 'pool-9x', version: null, text: 'from the pool' },
    { stream: 'platform', instance: null, version: null, text: 'The database is full.' },
  ])
})

test('a duplicate line is stored once, and those around it are stored', async () => {
  await logs.append([line(1), line(3)])
  await logs.append([line(1), line(2), line(3), line(4)])
  await logs.append([])
  expect(await texts(10)).toEqual(['line 1', 'line 2', 'line 3', 'line 4'])
})

test('another error is thrown, also together with duplicates', async () => {
  await logs.append([line(1)])
  const forbidden = { validator: { text: { $ne: 'line 2' } } }
  await mongo.db.command({ collMod: 'app_logs', ...forbidden })
  await expect(logs.append([line(1), line(2)])).rejects.toThrow()
})

test('the newest 5000 lines of an app are kept, whatever other apps print', async () => {
  await logs.append([line(0, { appId: 'b', pod: 'b-1' })])
  for (let from = 0; from < 6_000; from += 200) {
    await logs.append(Array.from({ length: 200 }, (_, index) => line(from + index)))
  }
  expect(await count()).toBe(5_000)
  const [oldest] = await texts(10_000)
  expect(oldest).toBe('line 1000')
  expect(await count('b')).toBe(1)
})

test('no lines of a removed app are kept, and none after two weeks', async () => {
  await logs.append([line(1), line(2)])
  await logs.append([line(3, { appId: 'b', pod: 'b-1' })])
  await logs.remove('a')
  expect([await count('a'), await count('b')]).toEqual([0, 1])
  const indexes = await mongo.db.collection('app_logs').indexes()
  expect(indexes).toContainEqual(expect.objectContaining({ key: { at: 1 }, expireAfterSeconds: 1_209_600 }))
})
