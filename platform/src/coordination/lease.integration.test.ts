import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { testMongo } from '../../test/database.ts'
import { newId } from '../ids.ts'
import type { Mongo } from '../plugins/mongo.ts'
import type { Lease } from './elector.ts'
import { createLeader, type Leader } from './leader.ts'
import { createMongoLease } from './lease.ts'

const STATE = { holder: 'a', renewTime: Date.UTC(2026, 0, 2, 3, 4, 5, 678), duration: 15_000, term: 3 }
const { signal } = new AbortController()

let mongo: Mongo & AsyncDisposable
let name: string
let lease: Lease
beforeAll(async () => {
  mongo = await testMongo()
})
afterAll(async () => mongo[Symbol.asyncDispose]())
beforeEach(() => {
  name = newId('l')
  lease = createMongoLease(mongo.db, { name })
})

test('a missing lease is created, and is read as it was written', async () => {
  expect(await lease.read(signal)).toBeUndefined()
  await lease.write(STATE, undefined, signal)
  expect(await lease.read(signal)).toEqual({ ...STATE, revision: 1 })
  await lease.write({ ...STATE, holder: '' }, 1, signal)
  expect(await lease.read(signal)).toEqual({ ...STATE, holder: '', revision: 2 })
  expect(await createMongoLease(mongo.db, { name: newId('l') }).read(signal)).toBeUndefined()
})

test('of two concurrent writes one gets a conflict', async () => {
  const both = (revision: number | undefined): Promise<string[]> =>
    Promise.allSettled(['a', 'b'].map((holder) => lease.write({ ...STATE, holder }, revision, signal))).then(
      (all) => all.map(({ status }) => status).sort(),
    )
  expect(await both(undefined)).toEqual(['fulfilled', 'rejected'])
  expect(await both(1)).toEqual(['fulfilled', 'rejected'])
  await expect(lease.write(STATE, 1, signal)).rejects.toThrow('is read again')
})

test('it appears taken and renewed while a process leads by another protocol', async () => {
  let older = true
  const guarded = createMongoLease(mongo.db, { name, isTaken: () => older })
  expect(await guarded.read(signal)).toMatchObject({ holder: 'another protocol' })
  const led: number[] = []
  const leader = createLeader({ lease: guarded, identity: 'new', retry: 10 })
  leader.run('work', async (over, term) => {
    led.push(term)
    await new Promise((resolve) => over.addEventListener('abort', resolve))
  })
  await expect.poll(() => guarded.read(signal)).toMatchObject({ holder: 'another protocol' })
  expect(led).toEqual([])
  older = false
  await expect.poll(() => led).toEqual([1])
  await leader[Symbol.asyncDispose]()
})

test('two processes lead with it one after the other', async () => {
  const led: string[] = []
  function join(identity: string): Leader {
    const leader = createLeader({ lease, identity, retry: 10 })
    leader.run('work', async (over, term) => {
      led.push(`${identity} ${term}`)
      await new Promise((resolve) => over.addEventListener('abort', resolve))
    })
    return leader
  }
  const first = join('a')
  await expect.poll(() => led).toEqual(['a 1'])
  const second = join('b')
  await first[Symbol.asyncDispose]()
  await expect.poll(() => led).toEqual(['a 1', 'b 2'])
  await second[Symbol.asyncDispose]()
  expect(await lease.read(signal)).toMatchObject({ holder: '', term: 2 })
})
