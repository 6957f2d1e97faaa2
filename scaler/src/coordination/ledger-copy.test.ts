import { expect, test } from 'vitest'
import { outdated } from '../errors.ts'
import { LedgerCopy } from './ledger-copy.ts'
import { asRetired, EMPTY, withShare, written, type Ledger } from './ledger.ts'

/** A copy over one stored ledger. `act` replaces the next updates of the store. */
function copyOf(first?: Ledger) {
  const stored: { now: Ledger | undefined } = { now: first }
  const failures: Error[] = []
  const dead = new Set<string>()
  const update = async (
    change: (now: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined> => {
    const next = change(stored.now)
    if (next !== stored.now) stored.now = next && written(next)
    return stored.now
  }
  const behaviour: { act: typeof update } = { act: update }
  const copy = new LedgerCopy(
    'app',
    {
      id: 'me',
      alive: (id) => !dead.has(id),
      update: (_key, change) => behaviour.act(change),
      failed: (error) => failures.push(error),
    },
    first,
  )
  return { copy, stored, failures, dead, behaviour, update }
}

const document = (born: string, revision: number, rest: Partial<Ledger> = {}): Ledger => ({
  ...EMPTY,
  born,
  revision,
  ...rest,
})
const same = (ledger: Ledger): Ledger => ledger

test('without a document, the ledger is empty', async () => {
  const { copy, stored } = copyOf()
  expect(copy.current).toBe(EMPTY)
  expect(await copy.step(same)).toBe(EMPTY)
  expect(stored.now).toBeUndefined()
})

test('of two versions of a document, the newer one is kept; another document always replaces it', () => {
  const { copy } = copyOf(document('a', 3))
  copy.news(document('a', 2))
  expect(copy.current.revision).toBe(3)
  copy.news(document('a', 3, { replicas: 2 }))
  expect(copy.current.replicas).toBe(2)
  copy.news(document('a', 4))
  expect(copy.current.revision).toBe(4)
  copy.news(document('b', 1))
  expect(copy.current).toEqual(document('b', 1))
})

test('the notification of a deletion deletes the document that was notified before, and no newer one', async () => {
  const { copy, stored } = copyOf(document('a', 1))
  copy.news(document('a', 1))
  stored.now = document('b', 1)
  await copy.step(asRetired)
  copy.news(undefined)
  expect(copy.current.born).toBe('b')
  copy.news(document('b', 2))
  copy.news(undefined)
  expect(copy.current).toBe(EMPTY)
})

test('a result that comes after the notification that its document was deleted is not kept', async () => {
  const { copy, behaviour } = copyOf(document('a', 1))
  copy.news(document('a', 1))
  behaviour.act = async () => {
    copy.news(undefined)
    return document('a', 2)
  }
  expect(await copy.step(same)).toEqual(document('a', 2))
  expect(copy.current).toBe(EMPTY)
})

test('a change gets the ledger without dead members, and writes it even if it changes nothing itself', async () => {
  const { copy, stored, dead } = copyOf(written(withShare(EMPTY, 'other')))
  dead.add('other')
  expect(copy.living.shares).toEqual({})
  expect(Object.keys(copy.current.shares)).toEqual(['other'])
  await copy.step(same)
  expect(stored.now).toMatchObject({ revision: 2, shares: {} })
})

test('what changes nothing is not written', async () => {
  const { copy, stored } = copyOf(document('a', 1))
  await copy.step(same)
  expect(stored.now?.revision).toBe(1)
})

test('after an update that failed, the next one is written in any case, and only that one', async () => {
  const { copy, stored, failures, behaviour, update } = copyOf(document('a', 1))
  const broken = new Error('no answer')
  behaviour.act = () => Promise.reject(broken)
  await expect(copy.step(same)).rejects.toBe(broken)
  expect(failures).toEqual([broken])
  expect(copy.isUnsure).toBe(true)
  expect(copy.mayHaveEntry).toBe(true)
  behaviour.act = update
  await copy.step(same)
  await copy.step(same)
  expect(stored.now?.revision).toBe(2)
  expect(copy.isUnsure).toBe(false)
  expect(copy.mayHaveEntry).toBe(false)
})

test('a document of a newer version was surely not changed', async () => {
  const { copy, behaviour } = copyOf()
  behaviour.act = () => Promise.reject(outdated())
  await expect(copy.step(same)).rejects.toMatchObject({ code: 'SCALER_OUTDATED' })
  expect(copy.isUnsure).toBe(false)
})

test('the ledger may have an entry of this activator during an update, and while it has one', async () => {
  const { copy } = copyOf()
  expect(copy.mayHaveEntry).toBe(false)
  const step = copy.step((now) => withShare(now, 'me'))
  expect(copy.mayHaveEntry).toBe(true)
  await step
  expect(copy.mayHaveEntry).toBe(true)
  await copy.step(() => undefined)
  copy.news(copy.current)
  copy.news(undefined)
  expect(copy.mayHaveEntry).toBe(false)
})

test('an update that finds no document forgets the one whose deletion was not notified, but not a newer one', async () => {
  const { copy, stored, behaviour, update } = copyOf(document('a', 1))
  stored.now = undefined
  expect(await copy.step(same)).toBe(EMPTY)
  expect(copy.current).toBe(EMPTY)
  copy.news(document('b', 1))
  behaviour.act = async (change) => {
    const result = await update(change)
    copy.news(document('c', 1))
    return result
  }
  await copy.step(same)
  expect(copy.current.born).toBe('c')
})
