import { createActivator, DEFAULT_POLICY, type Activator, type Coordination } from '@fp/scaler'
import { FakeClock, FakeDriver } from '@fp/scaler/fake'
import { MongoClient } from 'mongodb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { testMongo, testMongoUri } from '../../test/database.ts'
import { lineTo } from '../../test/cut-off.ts'
import type { Mongo } from '../plugins/mongo.ts'
import { createMongoCoordination } from './mongo-coordination.ts'

const MINUTE = 60_000
const PATIENCE = { timeout: 20_000, interval: 5 }

/** One replica's activator, with a connection of its own and the shared pods. */
interface Member extends AsyncDisposable {
  readonly activator: Activator
  /** The number of running updates. */
  pending(): number
  cut(): void
}

let driver: FakeDriver
let clock: FakeClock
let mongo: Mongo & AsyncDisposable
let members: Member[]

async function member(index: number): Promise<Member> {
  const line = await lineTo(mongo.client.options.hosts[0]!.socketPath!)
  const uri = new URL(testMongoUri())
  uri.host = `127.0.0.1:${line.port}`
  uri.searchParams.delete('replicaSet')
  uri.searchParams.set('directConnection', 'true')
  const client = await MongoClient.connect(uri.href, { serverSelectionTimeoutMS: 2_000 })
  const real = createMongoCoordination(client.db(mongo.db.databaseName))
  let pending = 0
  const counted: Coordination = {
    async update(key, change, options) {
      pending++
      return real.update(key, change, options).finally(() => void pending--)
    },
    watch: (onChange) => real.watch(onChange),
  }
  const activator = await createActivator({
    driver,
    clock,
    coordination: counted,
    instance: `member-${index}`,
    policy: () => ({ ...DEFAULT_POLICY, idleTimeout: MINUTE }),
  })
  return {
    activator,
    pending: () => pending,
    cut: () => line.cut(),
    async [Symbol.asyncDispose]() {
      await activator.close({ signal: AbortSignal.abort() })
      await client.close(true)
      await line[Symbol.asyncDispose]()
    },
  }
}

beforeEach(async () => {
  driver = new FakeDriver()
  clock = new FakeClock()
  mongo = await testMongo()
  members = [await member(0), await member(1), await member(2)]
})
afterEach(async () => {
  for (const each of members) await each[Symbol.asyncDispose]()
  await mongo[Symbol.asyncDispose]()
})

const scaled = (): string[] => driver.calls.map(({ key, replicas }) => `${key} ${replicas}`)
const activators = (): Activator[] => members.map(({ activator }) => activator)

/** Moves the clock on no faster than MongoDB answers the activators that can reach it. */
async function pass(ms: number, who: readonly Member[] = members): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await clock.advance(1_000)
    await expect.poll(() => who.every((each) => each.pending() === 0), PATIENCE).toBe(true)
  }
}

/** Whether a request would be admitted at once. */
function passing(activator: Activator): boolean {
  using lease = activator.tryAcquire('app')
  return lease !== undefined
}

async function wakeBy(index: number): Promise<void> {
  const asked = activators()[index]!.acquire('app')
  await expect.poll(scaled, PATIENCE).toContain('app 1')
  driver.ready('app')
  ;(await asked).release()
}

describe('activators that share a MongoDB', () => {
  test('wake a target once, whichever gets the request', async () => {
    const asked = activators().map((activator) => activator.acquire('app'))
    await expect.poll(scaled, PATIENCE).toEqual(['app 1'])
    driver.ready('app')
    const leases = await Promise.all(asked)
    expect(new Set(leases.map(({ endpoint }) => endpoint.id)).size).toBe(1)
    expect(scaled()).toEqual(['app 1'])
    for (const lease of leases) lease.release()
  })

  test('put no target to sleep on which another one has a lease', async () => {
    await wakeBy(0)
    const lease = await activators()[1]!.acquire('app')
    await pass(3 * MINUTE)
    for (const activator of activators()) expect(await activator.sleep('app')).toBe(false)
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    await pass(2 * MINUTE)
    await expect.poll(scaled, PATIENCE).toEqual(['app 1', 'app 0'])
  })

  test('notice a retirement, and refuse requests for the retired target', async () => {
    await wakeBy(0)
    const lease = await activators()[1]!.acquire('app')
    const retired = activators()[0]!.retire('app')
    await expect.poll(() => passing(activators()[1]!), PATIENCE).toBe(false)
    await expect(activators()[2]!.acquire('app')).rejects.toMatchObject({ code: 'SCALER_RETIRED' })
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    await retired
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('take over the targets of one that is cut off, which serves them until they are stopped', async () => {
    await wakeBy(0)
    const lost = await activators()[0]!.acquire('app')
    ;(await activators()[1]!.acquire('app')).release()
    members[0]!.cut()
    const others = members.slice(1)
    await pass(15_000, others)
    expect(passing(activators()[0]!)).toBe(true)
    expect(scaled()).toEqual(['app 1'])
    await pass(2 * MINUTE, others)
    await expect.poll(scaled, PATIENCE).toEqual(['app 1', 'app 0'])
    expect(passing(activators()[0]!)).toBe(false)
    lost.release()
  })
})
