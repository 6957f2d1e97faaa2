import { describe, expect, test } from 'vitest'
import { settle } from '../drivers/fake/index.ts'
import type { Demand } from '../target-lock.ts'
import { EMPTY, type Ledger, type Places, type Share } from './ledger.ts'
import { SharedPlaces } from './shared-places.ts'

function ledgerOf(shares: Record<string, Partial<Share>>): Ledger {
  const fresh: Share = { load: 0, waiting: 0, turn: 0, places: {}, drained: [] }
  const all = Object.entries(shares).map(([id, share]) => [id, { ...fresh, ...share }])
  return { ...EMPTY, shares: Object.fromEntries(all) }
}

const WAITS: Partial<Share> = { waiting: 1, turn: 1 }

/** The places of `a` in a ledger, at the endpoints e1 and e2 for two requests each. */
function placesOf(shares: Record<string, Partial<Share>>, demand: Partial<Demand> = {}) {
  const it = {
    ledger: ledgerOf(shares),
    isGranted: true,
    demand: { endpoints: ['e1', 'e2'], concurrency: 2, load: {}, waiting: 0, ...demand } as Demand,
    steps: 0,
    changes: 0,
    /** Replaces the next update. */
    onStep: undefined as (() => Promise<void>) | undefined,
  }
  const places = new SharedPlaces({
    me: () => 'a',
    ledger: () => it.ledger,
    granted: () => it.isGranted,
    demand: () => it.demand,
    async step(change) {
      it.steps++
      await it.onStep?.()
      return (it.ledger = change(it.ledger))
    },
    changed: () => it.changes++,
  })
  places.take(it.ledger)
  it.changes = 0
  const own = (): Places => ({ e1: places.of('e1', 2), e2: places.of('e2', 2) })
  const stored = (): Places | undefined => it.ledger.shares['a']?.places
  return { it, places, own, stored }
}

describe('the places', () => {
  test('are those that the ledger grants; without a limit they are not counted', () => {
    const { it, places, own } = placesOf({ a: { places: { e1: 2 } } })
    expect(own()).toEqual({ e1: 2, e2: 0 })
    expect(places.of('e1', Infinity)).toBe(Infinity)
    places.clear()
    expect(own()).toEqual({ e1: 0, e2: 0 })
    places.take(it.ledger)
    expect([own(), it.changes]).toEqual([{ e1: 2, e2: 0 }, 1])
  })

  test.each([
    [{ e1: 2, e2: 1 }, 0],
    [{ e1: 2 }, 1],
    [{ e1: 2, e2: 2 }, 1],
    [{ e1: 1, e3: 1 }, 1],
    [{}, 1],
  ])('of a new ledger replace the old ones; the target is told if they differ: %j', (granted, told) => {
    const { it, places } = placesOf({ a: { places: { e1: 2, e2: 1 } } })
    places.take(ledgerOf({ a: { places: granted } }))
    expect(it.changes).toBe(told)
    expect(['e1', 'e2', 'e3'].map((id) => places.of(id, 2))).toEqual(
      ['e1', 'e2', 'e3'].map((id) => (granted as Places)[id] ?? 0),
    )
  })

  test('are gone with the share', () => {
    const { places, own } = placesOf({ a: { places: { e1: 2 } } })
    places.take(ledgerOf({}))
    expect(own()).toEqual({ e1: 0, e2: 0 })
  })
})

describe('the place of a request that has ended', () => {
  const FULL = { a: { places: { e1: 2, e2: 1 } }, b: WAITS }
  const busy = { load: { e1: 2, e2: 1 } }

  test('goes to another activator that waits, and whose part is not yet reached', async () => {
    const { it, places, own, stored } = placesOf(FULL, busy)
    it.demand = { ...it.demand, load: { e1: 1, e2: 1 } }
    expect(places.handsOver('e1')).toBe(true)
    expect(own()).toEqual({ e1: 1, e2: 1 })
    await settle()
    expect(stored()).toEqual({ e1: 1, e2: 1 })
  })

  test('is not used here any more, even while another update is under way', () => {
    const { it, places, own } = placesOf(FULL, { ...busy, waiting: 1 })
    it.onStep = () => new Promise(() => undefined)
    places.balance()
    it.demand = { ...it.demand, load: { e1: 1, e2: 1 } }
    expect(places.handsOver('e1')).toBe(true)
    expect(own()).toEqual({ e1: 1, e2: 1 })
  })

  test('is kept if nobody waits, if it has no more than its part, or if nothing is counted', () => {
    const alone = placesOf({ a: { places: { e1: 2, e2: 1 } }, b: {} }, busy)
    expect(alone.places.handsOver('e1')).toBe(false)
    const fair = placesOf({ a: { places: { e1: 1, e2: 1 } }, b: WAITS }, { load: { e1: 1, e2: 1 } })
    expect(fair.places.handsOver('e1')).toBe(false)
    const unlimited = placesOf(FULL, { ...busy, concurrency: Infinity })
    expect(unlimited.places.handsOver('e1')).toBe(false)
    for (const { it } of [alone, fair, unlimited]) expect([it.steps, it.changes]).toEqual([0, 0])
  })

  test('is kept at an endpoint where it has none, or without a share', () => {
    const { it, places, own } = placesOf(FULL, busy)
    expect(places.handsOver('e9')).toBe(false)
    it.isGranted = false
    expect(places.handsOver('e1')).toBe(false)
    expect(own()).toEqual({ e1: 2, e2: 1 })
    const none = placesOf({ a: {}, b: WAITS }, { concurrency: 0 })
    expect(none.places.handsOver('e1')).toBe(false)
  })
})

describe('balancing', () => {
  test('takes places for waiting requests', async () => {
    const { it, places, own } = placesOf({ a: {} }, { waiting: 3 })
    places.balance()
    await settle()
    expect([own(), it.changes]).toEqual([{ e1: 2, e2: 1 }, 1])
  })

  test('does nothing without a share, without a limit, or if nothing is missing', async () => {
    const denied = placesOf({ a: {} }, { waiting: 3 })
    denied.it.isGranted = false
    const unlimited = placesOf({ a: { places: { e1: 2 } }, b: WAITS }, { waiting: 3, concurrency: Infinity })
    const content = placesOf({ a: { places: { e1: 2 } } })
    for (const { it, places, own } of [denied, unlimited, content]) {
      const before = own()
      places.balance()
      await settle()
      expect([it.steps, it.changes, own()]).toEqual([0, 0, before])
    }
  })

  test('gives unused places to those who wait, and keeps the used ones', async () => {
    const { it, places, own, stored } = placesOf(
      { a: { places: { e1: 2, e2: 1 } }, b: WAITS },
      { load: { e1: 1, e2: 1 } },
    )
    places.balance()
    // At once: until the ledger is updated, the place is used by nobody.
    expect([own(), it.changes]).toEqual([{ e1: 1, e2: 1 }, 1])
    await settle()
    expect([stored(), it.steps]).toEqual([{ e1: 1, e2: 1 }, 1])
  })

  test('tells the target nothing if no place is unused, and keeps unused ones if nobody waits', async () => {
    const used = placesOf({ a: { places: { e1: 2, e2: 0 } }, b: WAITS }, { load: { e1: 2 } })
    const idle = placesOf({ a: { places: { e1: 2 } }, b: {} })
    for (const { it, places, own } of [used, idle]) {
      places.balance()
      await settle()
      expect([own(), it.changes]).toEqual([{ e1: 2, e2: 0 }, 0])
    }
  })

  test('is one update at a time; a demand that has changed meanwhile is met by the next one', async () => {
    const { it, places, own } = placesOf({ a: {} }, { waiting: 1 })
    const answer = Promise.withResolvers<void>()
    it.onStep = () => answer.promise
    places.balance()
    places.balance()
    expect(it.steps).toBe(1)
    it.onStep = undefined
    answer.resolve()
    await Promise.resolve()
    it.demand = { ...it.demand, waiting: 2 }
    await settle()
    expect([it.steps, own()]).toEqual([2, { e1: 2, e2: 0 }])
  })

  test('is possible again after an update that failed', async () => {
    const { it, places, own } = placesOf({ a: {} }, { waiting: 1 })
    it.onStep = () => Promise.reject(new Error('no answer'))
    places.balance()
    await settle()
    it.onStep = undefined
    places.balance()
    await settle()
    expect([it.steps, own()]).toEqual([2, { e1: 1, e2: 0 }])
  })

  test('takes nothing if the share was lost meanwhile', async () => {
    const { it, places, own } = placesOf({ a: {} }, { waiting: 1 })
    it.onStep = async () => void (it.isGranted = false)
    places.balance()
    await settle()
    expect(own()).toEqual({ e1: 0, e2: 0 })
  })

  test('keeps the places at the endpoints that get requests, used or not', async () => {
    const { places, stored } = placesOf({ a: { places: { e1: 2, e2: 1 } } }, { waiting: 4 })
    places.balance()
    await settle()
    expect(stored()).toEqual({ e1: 2, e2: 2 })
  })

  test('keeps, at other endpoints, the places that are still used', async () => {
    const { places, stored } = placesOf(
      { a: { places: { e8: 2, e9: 2 } } },
      { load: { e9: 1 }, waiting: 1, concurrency: 1 },
    )
    places.balance()
    await settle()
    expect(stored()).toEqual({ e9: 1, e1: 1 })
  })

  test('keeps the places of requests from before the share was lost', async () => {
    const { places, stored } = placesOf(
      { a: { places: { e1: 2, e2: 1 } } },
      { load: { e1: 1, e2: 2 }, waiting: 1 },
    )
    // Its own count is gone, the ledger still has what it had.
    places.clear()
    places.balance()
    await settle()
    expect(stored()).toEqual({ e1: 2, e2: 2 })
  })

  test('keeps them although others, who wait, are first in turn', async () => {
    const { places, stored } = placesOf(
      { a: { places: { e1: 1 } }, b: WAITS },
      { load: { e1: 1 }, waiting: 1 },
    )
    places.clear()
    places.balance()
    await settle()
    expect(stored()).toEqual({ e1: 1 })
  })

  test('an endpoint without places is not recorded', async () => {
    const { places, stored } = placesOf({ a: {} }, { waiting: 1, load: { e9: 1 } })
    places.balance()
    await settle()
    expect(stored()).toEqual({ e1: 2 })
  })
})
