import { expect, test } from 'vitest'
import { fleet } from '../../test/fleet.ts'
import { settle } from '../drivers/fake/index.ts'
import type { Ledger } from './ledger.ts'
import { fromStore, toStore } from './stored-ledger.ts'

/** A ledger as written by version 1. */
const OLD = {
  shares: {
    one: { beat: 3, load: 1, waiting: 0, turn: 0, places: { e1: 1 }, quiet: ['e2'] },
    two: { beat: 1, load: 0, waiting: 0, turn: 0, places: {}, quiet: [] },
  },
  seizedBy: null,
  leader: 'one',
  retired: false,
  condemned: ['e0'],
  resting: ['e2'],
  restings: 4,
  replicas: 2,
  born: 'b',
  revision: 9,
  later: 'a field that this version does not know',
}

const NOW: Ledger = {
  shares: {
    one: { load: 1, waiting: 0, turn: 0, places: { e1: 1 }, drained: ['e2'] },
    two: { load: 0, waiting: 0, turn: 0, places: {}, drained: [] },
  },
  exclusive: null,
  leader: 'one',
  retired: false,
  dead: [],
  terminated: ['e0'],
  draining: ['e2'],
  drainings: 4,
  replicas: 2,
  born: 'b',
  revision: 9,
  later: 'a field that this version does not know',
}

const { signal } = new AbortController()

test('a ledger of version 1 is understood, even if it has kept the number of this version', () => {
  expect(fromStore(OLD)).toMatchObject(NOW)
  expect(fromStore({ ...OLD, version: 2 })).toMatchObject(NOW)
  expect(fromStore({ ...OLD, seizedBy: { id: 'one', beat: 4 } })).toMatchObject({ exclusive: { id: 'one' } })
})

test('a stored ledger has its version and is read as it was written', () => {
  const now = { ...NOW, dead: ['e3'] }
  expect(toStore(now)).toEqual({ ...now, version: 2 })
  expect(fromStore(toStore(now))).toEqual(now)
})

test('a target whose ledger version 1 has written is used beside its activators', async () => {
  const { members, driver, close } = await fleet(2)
  const [one, two] = members
  const old = { ...OLD, shares: { old: OLD.shares.one }, leader: 'old', resting: [], condemned: [] }
  await one!.connection.update('member/old', () => ({ count: 1 }), { signal })
  await one!.connection.update('target/app', () => old, { signal })
  driver.ready('app')
  const lease = await two!.activator.acquire('app')
  lease.release()
  // The older activator still uses the target.
  expect(await two!.activator.sleep('app')).toBe(false)
  expect(driver.calls).toEqual([])
  await close()
})

test('an older activator beside a newer one refuses the target, whether it has used it before or not', async () => {
  const { members, driver, clock, wake, close } = await fleet(2)
  const [one, two] = members
  ;(await wake(one!, 'app')).release()
  ;(await two!.activator.acquire('app')).release()
  let stored: object | undefined
  const watch = await two!.connection.watch((key, value) => {
    if (key === 'target/app') stored = value
  })
  const newer = { ...stored, version: 3, shares: { newer: { format: 'unknown' } } }
  await one!.connection.update('target/app', () => newer, { signal })
  await settle()
  for (const { activator } of members) {
    expect(activator.tryAcquire('app')).toBeUndefined()
    await expect(activator.acquire('app')).rejects.toMatchObject({ code: 'SCALER_OUTDATED' })
    await expect(activator.sleep('app')).rejects.toMatchObject({ code: 'SCALER_OUTDATED' })
  }
  await clock.advance(60 * 60_000)
  expect(stored).toEqual(newer)
  expect(driver.calls.map(({ replicas }) => replicas)).toEqual([1])
  await one!.connection.update('target/other', () => newer, { signal })
  await expect(one!.activator.acquire('other')).rejects.toMatchObject({ code: 'SCALER_OUTDATED' })
  await watch[Symbol.asyncDispose]()
  await close()
})
