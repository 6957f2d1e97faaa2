import { expect, test } from 'vitest'
import { EndpointSet } from './picker.ts'
import type { Endpoint } from './types.ts'

const endpoints = (...ids: string[]): Endpoint[] =>
  ids.map((id) => ({ id, url: new URL(`http://127.0.0.1/${id}`) }))

function setOf(...ids: string[]): EndpointSet {
  const set = new EndpointSet()
  set.replace(endpoints(...ids))
  return set
}

function picks(set: EndpointSet, count: number, concurrency = Infinity): string {
  set.allot(() => concurrency)
  return Array.from({ length: count }, () => set.pick().endpoint.id).join('')
}

test('picks the least loaded, in the order of the driver when equal', () => {
  const set = setOf('a', 'b', 'c')
  expect(picks(set, 6)).toBe('abcabc')
})

test('a returned place makes its endpoint the least loaded', () => {
  const set = setOf('a', 'b')
  set.pick()
  const second = set.pick()
  set.pick()
  set.leave(second)
  expect(picks(set, 2)).toBe('bb')
})

test('throws when there is no endpoint', () => {
  expect(() => setOf().pick()).toThrow(/no endpoint/)
})

test('a new ready set keeps the load of endpoints that remain, and new endpoints start without load', () => {
  const set = setOf('a', 'b')
  picks(set, 4)
  set.replace(endpoints('b', 'c'))
  expect(set.size).toBe(2)
  expect(picks(set, 3)).toBe('ccb')
})

test('an endpoint that becomes ready again still has its load', () => {
  const set = setOf('a', 'b')
  set.allot(() => 2)
  const first = set.pick()
  set.pick()
  set.pick()
  set.replace(endpoints('b'))
  set.replace(endpoints('a', 'b'))
  expect(picks(set, 1, 2)).toBe('b')
  set.leave(first)
  expect(picks(set, 1, 2)).toBe('a')
})

test('an endpoint that becomes ready again has its whole capacity, and its places can be used again', () => {
  const set = setOf('a')
  const lease = set.pick()
  set.replace([])
  expect(set.allot(() => 2)).toBe(1)
  set.replace(endpoints('a'))
  expect(set.allot(() => 2)).toBe(2)
  expect(set.leave(lease)).toBe(false)
})

test('an endpoint that is gone keeps its load until its last lease is returned', () => {
  const set = setOf('a')
  const first = set.pick()
  set.pick()
  set.replace([])
  expect(set.leave(first)).toBe(true)
  expect(set.load).toEqual({ a: 1 })
  set.replace(endpoints('a'))
  expect(set.load).toEqual({ a: 1 })
})

test('the load names only endpoints with leases', () => {
  const set = setOf('a', 'b')
  set.pick()
  expect(set.load).toEqual({ a: 1 })
})

test('a returned place cannot be used again while its endpoint has more leases than places', () => {
  const set = setOf('a')
  const [first, second] = [set.pick(), set.pick()]
  set.allot(() => 1)
  expect(set.leave(first)).toBe(true)
  expect(set.leave(second)).toBe(false)
})

test('the load of an endpoint that is gone is dropped with its last lease', () => {
  const set = setOf('a', 'b')
  const first = set.pick()
  set.replace(endpoints('b'))
  set.leave(first)
  set.replace(endpoints('a', 'b'))
  expect(picks(set, 2)).toBe('ba')
})

test('an avoided endpoint is used only when no other has a free place', () => {
  const set = setOf('a', 'b')
  set.setHealth('a', 'avoided')
  expect(picks(set, 3)).toBe('bbb')
  const bounded = setOf('a', 'b')
  bounded.setHealth('a', 'avoided')
  expect(picks(bounded, 4, 2)).toBe('bbaa')
})

test('the only endpoint is used even if it is avoided, and an unknown id is ignored', () => {
  const set = setOf('a')
  expect(set.setHealth('a', 'avoided')).toBe(true)
  expect(set.setHealth('z', 'avoided')).toBe(false)
  expect(picks(set, 2)).toBe('aa')
})

test('a new endpoint is usable, and setting the health that it has changes nothing', () => {
  const set = setOf('a')
  expect(set.setHealth('a', 'usable')).toBe(false)
  expect(set.setHealth('a', 'held')).toBe(true)
  expect(set.setHealth('a', 'held')).toBe(false)
})

test('counts the held endpoints besides one', () => {
  const set = setOf('a', 'b', 'c', 'd')
  for (const id of ['a', 'b']) set.setHealth(id, 'held')
  set.setHealth('c', 'avoided')
  expect(['a', 'c'].map((id) => set.heldBesides(id))).toEqual([1, 2])
})

test('active are the endpoints that are neither draining nor held; reported are all that the driver reports', () => {
  const set = setOf('a', 'b', 'c', 'd')
  set.setHealth('a', 'held')
  set.setDraining(new Set(['b']))
  set.drop('d')
  expect(set.active).toEqual(['c'])
  expect(set.reported).toEqual(['a', 'b', 'c', 'd'])
  expect(new EndpointSet().reported).toEqual([])
})

test('a held endpoint gets no leases, and has no capacity beyond its held ones', () => {
  const set = setOf('a', 'b')
  set.allot(() => 2)
  const [held] = [set.pick()]
  set.setHealth(held.endpoint.id, 'held')
  expect(set.allot(() => 2)).toBe(3)
  expect(picks(set, 2, 2)).toBe('bb')
  expect(set.leave(held)).toBe(true)
  set.setHealth(held.endpoint.id, 'usable')
  expect(set.allot(() => 2)).toBe(4)
})

test('a dropped id gets no leases while the driver still reports it', () => {
  const set = setOf('a', 'b')
  expect(set.drop('a')).toBe(true)
  expect(set.drop('a')).toBe(false)
  expect(set.drop('z')).toBe(false)
  set.replace(endpoints('a', 'b'))
  expect(set.size).toBe(1)
  expect(set.reportsUnusable).toBe(true)
  expect(picks(set, 2)).toBe('bb')
})

test('a dropped id is forgotten when the driver stops reporting it', () => {
  const set = setOf('a', 'b')
  set.drop('a')
  set.replace(endpoints('b'))
  expect(set.reportsUnusable).toBe(false)
  set.drop('a')
  expect(set.reportsUnusable).toBe(false)
})

test('dead endpoints need no replacement any more once the target is scaled to zero, or the driver has failed to', () => {
  const deadOf = (): EndpointSet => {
    const set = setOf('a', 'b')
    set.pick()
    for (const id of ['a', 'b']) set.dropDead(id)
    set.beginScaleDown()
    return set
  }
  const [stopped, refused, faulty] = [deadOf(), deadOf(), deadOf()]
  expect(stopped.dead).toEqual({ used: ['a'], unused: ['b'] })
  stopped.scaledDown([])
  refused.scaleDownFailed(false)
  faulty.scaleDownFailed(true)
  expect(stopped.dead).toEqual({ used: [], unused: [] })
  expect(refused.dead).toEqual({ used: ['a'], unused: ['b'] })
  expect(faulty.dead).toEqual({ used: [], unused: [] })
})

test('only endpoints that the driver reports are dead', () => {
  const set = setOf('a')
  set.dropDead('z')
  expect(set.dead.unused).toEqual([])
  set.dropDead('a')
  set.replace([])
  expect(set.dead.unused).toEqual([])
})

test('only the hundred endpoints that were stopped last are remembered', () => {
  const set = setOf()
  set.scaledDown(['old'])
  set.scaledDown(Array.from({ length: 99 }, (_, n) => `stopped-${n}`))
  set.replace(endpoints('old', 'stopped-0'))
  expect(set.ids).toEqual([])
  set.replace([])
  set.scaledDown(['last'])
  set.replace(endpoints('old', 'stopped-0', 'last'))
  expect(set.ids).toEqual(['old'])
})

test('no endpoint is usable during a scale-down; endpoints that are still reported after it are unusable', () => {
  const set = setOf('a', 'b')
  set.beginScaleDown()
  set.replace(endpoints('b', 'c'))
  expect(set.size).toBe(0)
  set.scaledDown(['b', 'e'])
  expect(set.reportsUnusable).toBe(true)
  set.replace(endpoints('b', 'd'))
  expect(picks(set, 2)).toBe('dd')
  set.replace(endpoints('d', 'e'))
  expect(picks(set, 2)).toBe('dd')
  set.replace(endpoints('d'))
  expect(set.reportsUnusable).toBe(false)
})

test('after a failed scale-down, reported endpoints are usable again, dropped ones only if the driver failed', () => {
  const set = setOf('a', 'b', 'c')
  set.drop('c')
  set.beginScaleDown()
  set.replace(endpoints('b', 'c'))
  set.scaleDownFailed(false)
  expect(set.ids).toEqual(['b'])
  set.beginScaleDown()
  set.scaleDownFailed(true)
  expect(set.ids).toEqual(['b', 'c'])
  expect(set.reportsUnusable).toBe(false)
})

test('the capacity is the sum of the places of the endpoints that are not draining', () => {
  const set = setOf('a', 'b', 'c')
  expect(set.allot((id) => (id === 'a' ? 1 : 2))).toBe(5)
  expect(set.setDraining(new Set(['b']))).toBe(true)
  expect(set.setDraining(new Set(['b']))).toBe(false)
  expect(set.allot((id) => (id === 'a' ? 1 : 2))).toBe(3)
})

test('a draining endpoint gets no new leases, and is drained when it has none', () => {
  const set = setOf('a', 'b')
  const first = set.pick()
  set.setDraining(new Set(['a']))
  expect(picks(set, 3)).toBe('bbb')
  expect(set.drained).toEqual([])
  set.leave(first)
  expect(set.drained).toEqual(['a'])
})

test('a held endpoint is needed less than one with fewer leases', () => {
  const set = setOf('a', 'b', 'c', 'd')
  picks(set, 7)
  set.setDraining(new Set(['c']))
  set.setHealth('b', 'held')
  expect(set.leastNeeded(4)).toEqual(['c', 'b', 'd', 'a'])
})

test('the least needed endpoints are the draining ones, then the least loaded', () => {
  const set = setOf('a', 'b', 'c')
  picks(set, 5)
  set.setDraining(new Set(['a']))
  expect(set.leastNeeded(2)).toEqual(['a', 'c'])
})
