import { beforeEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../fake/index.ts'
import type { Endpoint, Failure, TargetState } from '../../types.ts'
import { ReplicaSet, type ReplicaHooks, type StartedReplica } from './replica-set.ts'

const FAILURE: Failure = { code: 'X', message: 'it broke' }

/** A replica that the test makes ready and ends. */
class Puppet implements StartedReplica {
  readonly id: string
  readonly hooks: ReplicaHooks
  readonly phases = []
  endpoint: Endpoint | undefined
  stopped = false

  constructor(id: string, hooks: ReplicaHooks) {
    this.id = id
    this.hooks = hooks
  }

  ready(): void {
    this.endpoint = { id: this.id, url: new URL('http://127.0.0.1:1') }
    this.hooks.progress()
  }

  stop(): void {
    this.stopped = true
  }
}

let clock: FakeClock
let started: Puppet[]
let said: TargetState[]
let set: ReplicaSet<Puppet>

beforeEach(() => {
  clock = new FakeClock()
  started = []
  said = []
  set = new ReplicaSet({
    clock,
    start(hooks) {
      const puppet = new Puppet(String(started.length + 1), hooks)
      started.push(puppet)
      return puppet
    },
    report: (state) => void said.push(state),
  })
})

const stopped = (): string[] => started.filter((puppet) => puppet.stopped).map(({ id }) => id)
const ready = (): string[] | undefined => said.at(-1)?.ready.map(({ id }) => id)

function scaleReady(replicas: number): void {
  set.scale(replicas)
  for (const puppet of started) puppet.ready()
}

describe('fewer replicas', () => {
  test('are reached by stopping those that are not ready yet, the newest first', () => {
    scaleReady(1)
    set.scale(3)
    set.scale(2)
    expect(stopped()).toEqual(['3'])
    set.scale(1)
    expect(stopped()).toEqual(['2', '3'])
    expect(ready()).toEqual(['1'])
  })

  test('are not reached by stopping ready replicas that are not in `remove`: they are in use', () => {
    scaleReady(3)
    set.scale(1)
    expect(stopped()).toEqual([])
    set.scale(1, ['2'])
    expect(stopped()).toEqual(['2'])
    expect(ready()).toEqual(['1', '3'])
    set.scale(0)
    expect(stopped()).toEqual(['1', '2', '3'])
  })

  test('are reached by stopping all replicas in `remove`: the activator uses none of them any more', () => {
    scaleReady(4)
    set.scale(2, ['1', '3', '4'])
    expect(stopped()).toEqual(['1', '3', '4'])
    expect(ready()).toEqual(['2'])
    expect(set.size).toBe(2)
  })

  test('stop a replica in `remove` also if another one has already ended, and start the missing one', () => {
    scaleReady(3)
    started[2]!.hooks.ended(FAILURE)
    set.scale(2, ['1'])
    expect(stopped()).toEqual(['1'])
    expect(set.size).toBe(2)
  })
})

describe('the same number of replicas with `remove`', () => {
  test('replaces the named replicas', () => {
    scaleReady(3)
    expect(set.scale(3, ['2'])).toEqual(['2'])
    expect(started.map(({ id }) => id)).toEqual(['1', '2', '3', '4'])
    expect(ready()).toEqual(['1', '3'])
    started[3]!.ready()
    expect(ready()).toEqual(['1', '3', '4'])
  })

  test('replaces a replica that is not ready, and the only one', () => {
    set.scale(1)
    set.scale(1, ['1'])
    expect(stopped()).toEqual(['1'])
    expect(started).toHaveLength(2)
  })

  test('changes nothing if the named replica is gone', () => {
    scaleReady(2)
    set.scale(2, ['1'])
    const before = started.length
    expect(set.scale(2, ['1'])).toEqual([])
    expect(started).toHaveLength(before)
  })
})

describe('a replica that ends by itself', () => {
  test('is replaced while another is ready, after growing delays', async () => {
    scaleReady(2)
    for (const delay of [1_000, 2_000, 4_000]) {
      started.at(-1)!.hooks.ended(FAILURE)
      const before = started.length
      await clock.advance(delay - 1)
      expect(started).toHaveLength(before)
      await clock.advance(1)
      expect(started).toHaveLength(before + 1)
    }
    expect(said.some(({ failure }) => failure)).toBe(false)
  })

  test('is replaced after a minute at most; the delay is reset when no replica has ended for a while', async () => {
    scaleReady(2)
    for (let i = 0; i < 10; i++) {
      started.at(-1)!.hooks.ended(FAILURE)
      await clock.advance(60_000)
      expect(started).toHaveLength(3 + i)
    }
    await clock.advance(10 * 60_000)
    started.at(-1)!.hooks.ended(FAILURE)
    await clock.advance(1_000)
    expect(started).toHaveLength(13)
  })

  test('is replaced at once if the same number is requested again, and only once', async () => {
    scaleReady(2)
    started[1]!.hooks.ended(FAILURE)
    set.scale(2)
    expect(started).toHaveLength(3)
    expect(clock.pending).toBe(0)
    await clock.advance(1_000)
    expect(started).toHaveLength(3)
  })

  test('is not replaced when the target is scaled to zero', async () => {
    scaleReady(2)
    started[1]!.hooks.ended(FAILURE)
    set.scale(0)
    expect(clock.pending).toBe(0)
    await clock.advance(60_000)
    expect(started).toHaveLength(2)
  })

  test('as the last ready one fails the target, which starts again at the next scale call', async () => {
    scaleReady(1)
    started[0]!.hooks.ended(FAILURE)
    expect(said.at(-1)).toEqual({ ready: [], failure: FAILURE })
    await clock.advance(60_000)
    expect(started).toHaveLength(1)
    set.scale(1)
    expect(started).toHaveLength(2)
  })

  test('before any was ready fails the target immediately and stops the others', () => {
    set.scale(3)
    started[1]!.hooks.ended(FAILURE)
    expect(stopped()).toEqual(['1', '3'])
    expect(set.size).toBe(0)
    expect(said.at(-1)).toEqual({ ready: [], failure: FAILURE })
  })

  test('after it was stopped reports nothing', () => {
    scaleReady(1)
    set.scale(0)
    set.scale(1)
    const news = said.length
    started[0]!.hooks.ended(FAILURE)
    started[0]!.hooks.progress()
    expect(said).toHaveLength(news)
    expect(set.size).toBe(1)
  })
})
