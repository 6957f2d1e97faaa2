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

const picks = (set: EndpointSet, count: number, concurrency = Infinity): string =>
  Array.from({ length: count }, () => set.pick(concurrency).endpoint.id).join('')

test('picks the least loaded, in the order of the driver when equal', () => {
  const set = setOf('a', 'b', 'c')
  expect(picks(set, 6)).toBe('abcabc')
})

test('a place that is given back makes its endpoint the least loaded', () => {
  const set = setOf('a', 'b')
  set.pick(Infinity)
  const second = set.pick(Infinity)
  set.pick(Infinity)
  second.leave()
  expect(picks(set, 2)).toBe('bb')
})

test('throws when there is none', () => {
  expect(() => setOf().pick(1)).toThrow(/no endpoint/)
})

test('a new ready set keeps the load of those that stay and starts those that are new at none', () => {
  const set = setOf('a', 'b')
  picks(set, 4)
  set.replace(endpoints('b', 'c'))
  expect(set.size).toBe(2)
  expect(picks(set, 3)).toBe('ccb')
})

test('an endpoint that comes back brings the load that it still has', () => {
  const set = setOf('a', 'b')
  const first = set.pick(2)
  set.pick(2)
  set.pick(2)
  set.replace(endpoints('b'))
  set.replace(endpoints('a', 'b'))
  expect(picks(set, 1, 2)).toBe('b')
  first.leave()
  expect(picks(set, 1, 2)).toBe('a')
})

test('the load of an endpoint that is gone is forgotten with its last lease', () => {
  const set = setOf('a', 'b')
  const first = set.pick(Infinity)
  set.replace(endpoints('b'))
  first.leave()
  set.replace(endpoints('a', 'b'))
  expect(picks(set, 2)).toBe('ba')
})

test('a suspect is taken only when no other has room', () => {
  const set = setOf('a', 'b')
  set.suspect('a')
  expect(picks(set, 3)).toBe('bbb')
  const bounded = setOf('a', 'b')
  bounded.suspect('a')
  expect(picks(bounded, 4, 2)).toBe('bbaa')
})

test('the only endpoint is taken though it is suspect, and an unknown id is no fault', () => {
  const set = setOf('a')
  set.suspect('a')
  set.suspect('z')
  expect(picks(set, 2)).toBe('aa')
})

test('a dropped id is never handed out again while the driver reports it', () => {
  const set = setOf('a', 'b')
  expect(set.drop('a')).toBe(true)
  expect(set.drop('a')).toBe(false)
  expect(set.drop('z')).toBe(false)
  set.replace(endpoints('a', 'b'))
  expect(set.size).toBe(1)
  expect(set.lingering).toBe(true)
  expect(picks(set, 2)).toBe('bb')
})

test('a dropped id is forgotten once the driver stops reporting it', () => {
  const set = setOf('a', 'b')
  set.drop('a')
  set.replace(endpoints('b'))
  expect(set.lingering).toBe(false)
})

test('dropAll empties the set, revive takes over what the driver last reported', () => {
  const set = setOf('a', 'b')
  set.dropAll()
  set.replace(endpoints('b'))
  expect(set.size).toBe(0)
  set.revive()
  expect(set.size).toBe(1)
  expect(picks(set, 1)).toBe('b')
  expect(set.lingering).toBe(false)
})
