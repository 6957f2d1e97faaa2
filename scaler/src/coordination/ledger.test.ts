import { describe, expect, test } from 'vitest'
import type { Demand } from '../target-lock.ts'
import {
  asRetired,
  EMPTY,
  fairPart,
  hasMember,
  isFree,
  joined,
  loadOfOthers,
  othersWait,
  scaledDown,
  withDead,
  withExclusive,
  withoutDead,
  withoutMember,
  withPlaces,
  withReport,
  withShare,
  withTerminated,
  written,
  type Ledger,
  type Share,
} from './ledger.ts'

const FRESH: Share = { load: 0, waiting: 0, turn: 0, places: {}, drained: [] }

/** A ledger in which these members have shares; the first of them leads. */
function shared(shares: Record<string, Partial<Share>>, rest: Partial<Ledger> = {}): Ledger {
  const all = Object.entries(shares).map(([id, share]) => [id, { ...FRESH, ...share }])
  return { ...EMPTY, leader: Object.keys(shares)[0] ?? null, shares: Object.fromEntries(all), ...rest }
}

const seized = (id: string): Ledger => ({ ...EMPTY, exclusive: { id } })
const only =
  (...living: string[]) =>
  (id: string): boolean =>
    living.includes(id)

describe('dead members', () => {
  test('lose their shares and their exclusive lock; the living member with the lowest id leads', () => {
    const ledger = shared({ c: {}, d: {}, b: { load: 2 } })
    expect(withoutDead(ledger, only('b', 'd'))).toEqual({ ...shared({ b: { load: 2 }, d: {} }) })
    expect(withoutDead(ledger, only('b', 'c')).leader).toBe('c')
    expect(withoutDead(seized('a'), only('b'))).toEqual(EMPTY)
    expect(withoutDead(shared({ a: {} }), only())).toEqual(EMPTY)
  })

  test('if there are none, nothing has changed', () => {
    const ledgers = [shared({ a: {}, b: {} }), seized('a'), EMPTY]
    for (const ledger of ledgers) expect(withoutDead(ledger, only('a', 'b'))).toBe(ledger)
    expect(withoutDead(undefined, only())).toBe(EMPTY)
  })
})

describe('a shared lock', () => {
  test('is given to any number of members; the first one leads', () => {
    const one = withShare(EMPTY, 'b')
    expect(one).toEqual(shared({ b: {} }))
    expect(withShare(one, 'a')).toEqual(shared({ b: {}, a: {} }))
    expect(withShare(one, 'b')).toBe(one)
  })

  test('is not given while another member holds the exclusive lock, nor on a retired target', () => {
    const ledgers = [seized('a'), asRetired(EMPTY)]
    for (const ledger of ledgers) expect(withShare(ledger, 'b')).toBe(ledger)
  })

  test('replaces the own exclusive lock', () => {
    expect(withShare(seized('a'), 'a')).toEqual(shared({ a: {} }))
  })
})

describe('the exclusive lock', () => {
  test('is given to a member if no other one has a lock, and replaces its share', () => {
    for (const ledger of [EMPTY, shared({ a: {} })]) expect(withExclusive(ledger, 'a')).toEqual(seized('a'))
  })

  test('is not given otherwise', () => {
    const ledgers = [shared({ b: {} }), shared({ a: {}, b: {} }), seized('b'), seized('a')]
    for (const ledger of ledgers) expect(withExclusive(ledger, 'a')).toBe(ledger)
  })

  test.each([
    [EMPTY, true, false],
    [shared({ a: {} }), true, true],
    [shared({ a: {}, b: {} }), false, true],
    [shared({ b: {} }), false, false],
    [seized('a'), true, true],
    [seized('b'), false, false],
  ])('%#: whether the target is free for a member, and whether it has a lock itself', (ledger, free, own) => {
    expect([isFree(ledger, 'a'), hasMember(ledger, 'a')]).toEqual([free, own])
  })
})

test('a member that leaves gives up its lock, and another one leads', () => {
  expect(withoutMember(shared({ a: {}, c: {}, b: {} }), 'a')).toEqual(shared({ b: {}, c: {} }))
  expect(withoutMember(shared({ b: {}, a: {} }), 'a')).toEqual(shared({ b: {} }))
  expect(withoutMember(seized('a'), 'a')).toEqual(EMPTY)
  for (const ledger of [EMPTY, seized('b'), shared({ b: {} })])
    expect(withoutMember(ledger, 'a')).toBe(ledger)
})

test('each write has the next revision; only a new document gets an id', () => {
  const first = written(EMPTY)
  expect(first).toEqual({ ...EMPTY, born: expect.stringMatching(/.{36}/), revision: 1 })
  expect(written(first)).toEqual({ ...first, revision: 2 })
})

test('a retired target stays retired', () => {
  const retired = asRetired(EMPTY)
  expect(retired).toEqual({ ...EMPTY, retired: true })
  expect(asRetired(retired)).toBe(retired)
})

test('the load of the others', () => {
  expect(loadOfOthers(shared({ a: { load: 1 }, b: { load: 2 }, c: { load: 4 } }), 'b')).toBe(5)
})

describe('stopped endpoints', () => {
  test('after a scale to zero are remembered once each; none drains, and one replica is wanted', () => {
    const ledger = shared(
      { a: { drained: ['e1'] } },
      { draining: ['e1'], replicas: 3, terminated: ['e1', 'e2'] },
    )
    const now = scaledDown(ledger, ['e2', 'e3'])
    expect(now).toMatchObject({ draining: [], drainings: 1, replicas: 1, terminated: ['e1', 'e2', 'e3'] })
    expect(now.shares['a']?.drained).toEqual([])
  })

  test('are not dead any more', () => {
    const ledger = shared({ a: {} }, { draining: ['e1'], dead: ['e1', 'e2'] })
    expect(withTerminated(ledger, 'a', ['e1'], {}).dead).toEqual(['e2'])
    expect(scaledDown(ledger, ['e2']).dead).toEqual(['e1'])
  })

  test('that a member has found dead are recorded once', () => {
    const ledger = withDead(withDead(EMPTY, 'e1', true), 'e2', true)
    expect(ledger).toEqual({ ...EMPTY, dead: ['e1', 'e2'] })
    expect(withDead(ledger, 'e1', true)).toBe(ledger)
    expect(withDead(ledger, 'e3', false)).toBe(ledger)
    expect(withDead(ledger, 'e1', false).dead).toEqual(['e2'])
  })

  test('only the hundred most recent ones are remembered', () => {
    const ids = Array.from({ length: 100 }, (_, n) => `e${n}`)
    expect(scaledDown({ ...EMPTY, terminated: ids }, ['last']).terminated).toEqual([...ids.slice(1), 'last'])
  })

  test('are the draining ones that no member uses', () => {
    const draining = ['e1', 'e2', 'e3', 'e4']
    const shares = { a: {}, b: { drained: ['e1', 'e2', 'e5'] }, c: { drained: ['e1', 'e2', 'e3', 'e5'] } }
    const ledger = shared(shares, { draining, terminated: ['e0'] })
    const now = withTerminated(ledger, 'a', ['e1', 'e2', 'e3', 'e5'], { e2: 1 })
    expect(now).toEqual({ ...ledger, terminated: ['e0', 'e1'] })
    expect(withTerminated(ledger, 'a', ['e3'], {})).toBe(ledger)
  })

  test('are recorded only by the leader', () => {
    const ledger = shared({ a: { drained: ['e1'] }, b: { drained: ['e1'] } }, { draining: ['e1'] })
    expect(withTerminated(ledger, 'b', ['e1'], {})).toBe(ledger)
  })
})

describe('a report', () => {
  const report = { load: 3, drained: ['e1'], drainings: 0 }

  test('of a member sets its load and the endpoints that it does not use any more', () => {
    const ledger = shared({ a: {}, b: { load: 1 } }, { draining: ['e1'] })
    expect(withReport(ledger, 'a', report)).toEqual(
      shared({ a: { load: 3, drained: ['e1'] }, b: { load: 1 } }, { draining: ['e1'] }),
    )
    expect(withReport(ledger, 'z', report)).toBe(ledger)
  })

  test('about endpoints that drained before the last change does not count', () => {
    const ledger = shared({ a: {} }, { drainings: 1 })
    expect(withReport(ledger, 'a', report).shares['a']).toEqual({ ...FRESH, load: 3 })
  })

  test('of the leader decides; what the members have reported of earlier draining endpoints is void', () => {
    const ledger = shared({ a: { drained: ['e1'] }, b: { drained: ['e1'] } }, { draining: ['e1'] })
    const lead = { replicas: 4, draining: ['e1', 'e2'] }
    expect(withReport(ledger, 'a', { ...report, lead })).toEqual(
      shared({ a: { load: 3 }, b: {} }, { draining: ['e1', 'e2'], drainings: 1, replicas: 4 }),
    )
    expect(withReport(ledger, 'b', { ...report, lead })).toMatchObject({ draining: ['e1'], replicas: 1 })
  })

  test.each([
    [['e1', 'e2'], ['e2', 'e1'], false],
    [['e1', 'e2'], ['e1'], true],
    [['e1'], ['e2'], true],
    [['e1', 'e2'], ['e1', 'e3'], true],
    [[], [], false],
  ])(
    'of the leader: whether %j becoming %j is a change of the draining endpoints',
    (before, draining, changed) => {
      const ledger = shared({ a: {}, b: { drained: ['e1'] } }, { draining: before })
      const now = withReport(ledger, 'a', { ...report, lead: { replicas: 1, draining } })
      expect([now.drainings, now.shares['b']?.drained]).toEqual(changed ? [1, []] : [0, ['e1']])
    },
  )
})

describe('places', () => {
  const demand = (rest: Partial<Demand> = {}): Demand => ({
    endpoints: ['e1', 'e2'],
    concurrency: 2,
    load: {},
    waiting: 0,
    ...rest,
  })

  test('are taken for waiting requests, at one endpoint after the other', () => {
    const now = withPlaces(shared({ a: {} }), 'a', {}, demand({ waiting: 3 }))
    expect(now.shares['a']).toEqual({ ...FRESH, waiting: 3, turn: 1, places: { e1: 2, e2: 1 } })
    expect(withPlaces(shared({ a: {} }), 'a', {}, demand({ waiting: 2 })).shares['a']?.places).toEqual({
      e1: 2,
    })
  })

  test('are not taken without a share', () => {
    const ledger = shared({ b: {} })
    expect(withPlaces(ledger, 'a', {}, demand({ waiting: 1 }))).toBe(ledger)
  })

  test('of all members together never exceed the concurrency of an endpoint', () => {
    const ledger = shared({ a: {}, b: { places: { e1: 1, e2: 1 } }, c: { places: { e2: 1 } } })
    expect(withPlaces(ledger, 'a', {}, demand({ waiting: 4 })).shares['a']?.places).toEqual({ e1: 1 })
  })

  test('that are kept count, and those that are not kept are given up', () => {
    const ledger = shared({ a: { places: { e1: 2, e2: 2 } } })
    const now = withPlaces(ledger, 'a', { e1: 1 }, demand({ load: { e1: 1 }, waiting: 1 }))
    expect(now.shares['a']?.places).toEqual({ e1: 2 })
    expect(withPlaces(ledger, 'a', { e1: 1 }, demand({ load: { e1: 1 } })).shares['a']?.places).toEqual({
      e1: 1,
    })
    expect(withPlaces(ledger, 'a', { e1: 2, e2: 2 }, demand({ load: { e1: 2, e2: 2 } }))).toBe(ledger)
  })

  test('nothing is written while nothing changes', () => {
    const ledger = shared({ a: { waiting: 1, turn: 3, places: { e1: 2 } } })
    const full = demand({ endpoints: ['e1'], load: { e1: 2 } })
    expect(withPlaces(ledger, 'a', { e1: 2 }, { ...full, waiting: 1 })).toBe(ledger)
    expect(withPlaces(ledger, 'a', { e1: 2 }, { ...full, waiting: 2 }).shares['a']).toMatchObject({
      waiting: 2,
      turn: 3,
    })
    expect(withPlaces(ledger, 'a', { e1: 2 }, full).shares['a']).toMatchObject({ waiting: 0, turn: 0 })
  })

  test('an endpoint without places is the same as one that is not named', () => {
    const ledger = shared({ a: { places: { e1: 2, e2: 0 } } })
    expect(withPlaces(ledger, 'a', { e1: 2 }, demand({ load: { e1: 2 } }))).toBe(ledger)
    expect(
      withPlaces(shared({ a: { places: { e1: 2 } } }), 'a', { e1: 1, e2: 1 }, demand()).shares['a']?.places,
    ).toEqual({
      e1: 1,
      e2: 1,
    })
  })

  test('who begins to wait, or has just got places, is last in turn', () => {
    const ledger = shared({ a: { turn: 2, waiting: 1 }, b: { turn: 7 } })
    const full = demand({ endpoints: [] })
    expect(withPlaces(ledger, 'b', {}, { ...full, waiting: 1 }).shares['b']?.turn).toBe(8)
    expect(withPlaces(ledger, 'a', {}, { ...full, waiting: 2 }).shares['a']?.turn).toBe(2)
    expect(withPlaces(ledger, 'a', {}, demand({ waiting: 1 })).shares['a']?.turn).toBe(8)
    // Places for requests that do not wait, such as those from before a loss.
    expect(withPlaces(ledger, 'b', {}, demand({ load: { e1: 1 } })).shares['b']).toMatchObject({
      turn: 0,
      places: { e1: 1 },
    })
  })

  describe('while others wait', () => {
    const WAITS = { waiting: 1, turn: 1 }

    test('are limited to the fair part', () => {
      const ledger = shared({ a: { waiting: 4, turn: 2 }, b: { ...WAITS, places: { e1: 2 } } })
      expect(withPlaces(ledger, 'a', {}, demand({ waiting: 4 })).shares['a']?.places).toEqual({ e2: 2 })
      const later = shared({ a: { waiting: 4, turn: 2 }, b: { waiting: 1, turn: 3, places: { e1: 2 } } })
      const three = demand({ waiting: 4, endpoints: ['e1', 'e2', 'e3'] })
      expect(withPlaces(later, 'a', { e2: 1 }, three).shares['a']?.places).toEqual({ e2: 2, e3: 1 })
      // Rounded up: otherwise a place would stay free.
      const single = demand({ waiting: 4, endpoints: ['e2'], concurrency: 3 })
      expect(withPlaces(ledger, 'a', {}, single).shares['a']?.places).toEqual({ e2: 2 })
    })

    test('those with less than their part and a lower number are first', () => {
      const ledger = shared({ a: { waiting: 4, turn: 2 }, b: { ...WAITS, places: { e1: 1 } } })
      expect(withPlaces(ledger, 'a', {}, demand({ waiting: 4 }))).toBe(ledger)
      const later = shared({ a: { waiting: 4, turn: 2 }, b: { waiting: 1, turn: 3, places: { e1: 1 } } })
      expect(withPlaces(later, 'a', {}, demand({ waiting: 4 })).shares['a']?.places).toEqual({ e1: 1, e2: 1 })
      const idle = shared({ a: { waiting: 4, turn: 2 }, b: { turn: 1 }, c: { waiting: 1, turn: 3 } })
      expect(withPlaces(idle, 'a', {}, demand({ waiting: 4 })).shares['a']?.places).toEqual({ e1: 2 })
    })

    test('all of those before must have their part', () => {
      const ledger = shared({
        a: { waiting: 4, turn: 3 },
        b: { ...WAITS, places: { e1: 2 } },
        c: { waiting: 1, turn: 2 },
      })
      expect(withPlaces(ledger, 'a', {}, demand({ waiting: 4 }))).toBe(ledger)
    })

    test('a member with more than its part keeps what it has, and takes no more', () => {
      const ledger = shared({ a: { places: { e1: 2, e2: 1 } }, b: WAITS })
      const busy = demand({ load: { e1: 2, e2: 1 } })
      expect(withPlaces(ledger, 'a', { e1: 2, e2: 1 }, busy)).toBe(ledger)
    })
  })

  test('who joins keeps the places that the ledger still has for it; without a limit nothing is counted', () => {
    const again = joined(shared({ a: { places: { e1: 1 } } }), 'a', demand({ waiting: 2, load: {} }))
    expect(again.shares['a']?.places).toEqual({ e1: 2 })
    expect(joined(EMPTY, 'a', demand({ waiting: 1 })).shares['a']?.places).toEqual({ e1: 1 })
    expect(joined(EMPTY, 'a', demand({ waiting: 1, concurrency: Infinity }))).toEqual(shared({ a: {} }))
    expect(joined(seized('b'), 'a', demand({ waiting: 1 }))).toEqual(seized('b'))
  })

  test('the fair part is that of each member that has places or waits for some', () => {
    const ledger = shared({ a: { waiting: 1 }, b: { places: { e1: 1 } }, c: {}, d: { places: { e1: 0 } } })
    expect(fairPart(ledger, demand({ concurrency: 3 }))).toBe(3)
    expect(fairPart(EMPTY, demand())).toBe(4)
  })

  test('whether others wait', () => {
    const ledger = shared({ a: { waiting: 1 }, b: {} })
    expect([othersWait(ledger, 'a'), othersWait(ledger, 'b')]).toEqual([false, true])
  })
})
