import { expect, test } from 'vitest'
import { fleet } from '../../test/fleet.ts'
import { settle } from '../drivers/fake/index.ts'
import type { Ledger } from './ledger.ts'
import { fromStore, toStore } from './stored-ledger.ts'

/** A ledger as written by the previous version. */
const OLD = {
  shares: {
    one: { load: 1, waiting: 0, turn: 0, places: { e1: 1 }, quiet: ['e2'] },
    two: { load: 0, waiting: 0, turn: 0, places: {}, quiet: [] },
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
  later: 'a field of a version to come',
}

const NOW: Ledger = {
  shares: {
    one: { load: 1, waiting: 0, turn: 0, places: { e1: 1 }, drained: ['e2'] },
    two: { load: 0, waiting: 0, turn: 0, places: {}, drained: [] },
  },
  exclusive: null,
  leader: 'one',
  retired: false,
  terminated: ['e0'],
  draining: ['e2'],
  drainings: 4,
  replicas: 2,
  born: 'b',
  revision: 9,
  later: 'a field of a version to come',
}

test('the previous version reads what this version writes, and vice versa', () => {
  expect(fromStore(OLD)).toEqual(NOW)
  expect(toStore(NOW)).toEqual(OLD)
  const held = { ...NOW, shares: {}, exclusive: { id: 'one' } }
  expect(toStore(held)).toMatchObject({ seizedBy: { id: 'one' } })
  expect(fromStore(toStore(held))).toEqual(held)
})

test('field names of the next version are read too', () => {
  expect(fromStore(NOW)).toEqual(NOW)
})

test('activators store the field names of the previous version', async () => {
  const { members, wake, close } = await fleet(2)
  const lease = await wake(members[0]!, 'app')
  await settle()
  let stored: object | undefined
  const watch = await members[1]!.connection.watch((key, value) => {
    if (key === 'target/app') stored = value
  })
  expect(Object.keys(stored!).sort()).toEqual(
    Object.keys(OLD)
      .filter((name) => name !== 'later')
      .sort(),
  )
  await watch[Symbol.asyncDispose]()
  lease.release()
  await close()
})
