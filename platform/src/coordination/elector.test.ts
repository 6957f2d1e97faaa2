import { FakeClock, settle } from '@fp/scaler/fake'
import { describe, expect, test } from 'vitest'
import { createElector, type Lease, type LeaseState } from './elector.ts'

/** One lease, and each process's own connection to it. */
class Store {
  state: (LeaseState & { revision: number }) | undefined
  #version = 0

  connect(clock: FakeClock): Connection {
    return new Connection(this, clock)
  }

  write(next: LeaseState, revision: number | undefined): void {
    if (this.state?.revision !== revision) throw new Error('conflict')
    this.state = { ...next, revision: ++this.#version }
  }
}

class Connection implements Lease {
  broken: 'no' | 'refuses' | 'hangs' | 'loses answers' = 'no'
  latency: () => number = () => 0
  readonly #store: Store
  readonly #clock: FakeClock

  constructor(store: Store, clock: FakeClock) {
    this.#store = store
    this.#clock = clock
  }

  async read(): Promise<(LeaseState & { revision: number }) | undefined> {
    await this.#way()
    const { state } = this.#store
    await this.#way()
    return state
  }

  async write(next: LeaseState, revision: number | undefined): Promise<void> {
    await this.#way()
    this.#store.write(next, revision)
    if (this.broken === 'loses answers') throw new Error('the connection broke')
    await this.#way()
  }

  async #way(): Promise<void> {
    const ms = this.latency()
    if (ms > 0) await new Promise<void>((resolve) => void this.#clock.schedule(ms, resolve))
    if (this.broken === 'refuses') throw new Error('the store does not answer')
    if (this.broken === 'hangs') await new Promise<never>(() => undefined)
  }
}

interface Process extends AsyncDisposable {
  readonly name: string
  readonly connection: Connection
  readonly errors: string[]
  /** Whether the process believes that it leads. */
  leads(): boolean
  terms: number
  /** Ends its work as a leader. */
  finish(error?: Error): void
}

interface World {
  readonly store: Store
  /** The terms of all leaders, in the order in which they began. */
  readonly terms: number[]
  readonly clock: FakeClock
  start(name: string, options?: { slow?: Promise<void>; random?: () => number }): Process
}

function world(): World {
  const store = new Store()
  const clock = new FakeClock()
  const terms: number[] = []
  return {
    store,
    terms,
    clock,
    start(name, { slow, random = () => 0 } = {}) {
      const connection = store.connect(clock)
      const errors: string[] = []
      let signal: AbortSignal | undefined
      let finish = (_error?: Error): void => undefined
      const elector = createElector({
        lease: connection,
        identity: name,
        clock,
        random,
        onError: ({ message }) => void errors.push(message),
      })
      const process: Process = {
        name,
        connection,
        errors,
        terms: 0,
        leads: () => signal !== undefined && !signal.aborted,
        finish: (error) => finish(error),
        [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
      }
      const running = elector.run(async (given, term) => {
        terms.push(term)
        process.terms++
        signal = given
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        given.addEventListener('abort', () => resolve())
        finish = (error) => (error ? reject(error) : resolve())
        await promise.finally(() => (signal = undefined))
        await slow
      })
      return process
    },
  }
}

describe('of several processes', () => {
  test('one leads, and keeps the lead', async () => {
    const { store, clock, start } = world()
    const all = ['a', 'b', 'c'].map((name) => start(name))
    await clock.advance(60_000)
    expect(all.map((each) => each.leads())).toEqual([true, false, false])
    expect(all.map((each) => each.terms)).toEqual([1, 0, 0])
    expect(store.state).toMatchObject({ holder: 'a', duration: 15_000, term: 1 })
    expect(store.state!.renewTime).toBeGreaterThan(57_000)
    for (const each of all) await each[Symbol.asyncDispose]()
    expect(clock.pending).toBe(0)
  })

  test('another one leads at once when the first one stops, after that has ended its work', async () => {
    const { store, clock, start } = world()
    const { promise: slow, resolve: ended } = Promise.withResolvers<void>()
    const a = start('a', { slow })
    await settle()
    const b = start('b')
    await clock.advance(5_000)
    const stopped = a[Symbol.asyncDispose]()
    await clock.advance(4_000)
    expect([a.leads(), b.leads(), store.state!.holder]).toEqual([false, false, 'a'])
    ended()
    await stopped
    expect(store.state!.holder).toBe('')
    await clock.advance(2_000)
    expect([b.leads(), store.state!.term]).toEqual([true, 2])
    await b[Symbol.asyncDispose]()
  })

  test('another one leads when it has seen no renewal for the lease’s duration, whatever the clocks say', async () => {
    const { store, clock, start } = world()
    // By its own clock the first one died long ago, or will die in an hour.
    for (const renewTime of [-3_600_000, 3_600_000]) {
      const began = clock.now()
      const { term = 0, revision } = store.state ?? {}
      store.write({ holder: 'dead', renewTime, duration: 15_000, term }, revision)
      const b = start('b')
      await clock.advance(14_000)
      expect(b.leads()).toBe(false)
      await clock.advance(3_000)
      expect(b.leads()).toBe(true)
      expect(clock.now() - began).toBeLessThan(20_000)
      await b[Symbol.asyncDispose]()
    }
  })

  test('waiting processes do not all read the lease at once', async () => {
    const { clock, store, start } = world()
    store.write({ holder: 'dead', renewTime: 0, duration: 60_000, term: 1 }, undefined)
    const asked: number[] = []
    const waiting = start('late', { random: () => 0.5 })
    const { read } = Connection.prototype
    waiting.connection.read = function (this: Connection) {
      asked.push(clock.now())
      return read.call(this)
    }
    await clock.advance(10_000)
    expect(asked).toEqual([3_200, 6_400, 9_600])
    await waiting[Symbol.asyncDispose]()
  })
})

describe('a leader', () => {
  test.each(['refuses', 'hangs'] as const)(
    'and has lost the store (which %s) ends its work before another begins',
    async (broken) => {
      const { clock, start } = world()
      const a = start('a')
      await settle()
      const b = start('b')
      await clock.advance(4_000)
      a.connection.broken = broken
      const began = clock.now()
      while (a.leads()) {
        expect(b.leads()).toBe(false)
        await clock.advance(100)
      }
      expect(clock.now() - began).toBeLessThanOrEqual(10_000)
      expect(b.leads()).toBe(false)
      await clock.advance(12_000)
      expect(b.leads()).toBe(true)
      a.connection.broken = 'no'
      await clock.advance(60_000)
      expect([a.leads(), b.leads()]).toEqual([false, true])
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    },
  )

  test('survives a short failure of the store', async () => {
    const { clock, start } = world()
    const a = start('a')
    await clock.advance(2_500)
    a.connection.broken = 'refuses'
    await clock.advance(6_000)
    a.connection.broken = 'no'
    await clock.advance(60_000)
    expect([a.leads(), a.terms]).toEqual([true, 1])
    expect(a.errors).toContain('the store does not answer')
    await a[Symbol.asyncDispose]()
  })

  test('ends its work when another process has taken the lease', async () => {
    const { clock, store, start } = world()
    const a = start('a')
    await clock.advance(2_500)
    const { revision } = store.state!
    store.write({ holder: 'x', renewTime: 0, duration: 15_000, term: 2 }, revision)
    await clock.advance(2_000)
    expect(a.leads()).toBe(false)
    expect(store.state!.holder).toBe('x')
    await a[Symbol.asyncDispose]()
    expect(store.state!.holder).toBe('x')
  })

  test.each([undefined, new Error('out of work')])('and is done (%s) gives the lease up', async (error) => {
    const { clock, store, start } = world()
    const a = start('a')
    await settle()
    a.finish(error)
    await settle()
    expect([a.leads(), store.state!.holder]).toEqual([false, ''])
    expect(a.errors).toEqual(error ? ['out of work'] : [])
    await clock.advance(2_000)
    expect([a.leads(), a.terms]).toEqual([true, 2])
    await a[Symbol.asyncDispose]()
  })
})

test('a process that took the lease but lost the answer holds the lease', async () => {
  const { clock, store, start } = world()
  const a = start('a')
  a.connection.broken = 'loses answers'
  await settle()
  expect([a.leads(), store.state!.holder]).toEqual([false, 'a'])
  a.connection.broken = 'no'
  await clock.advance(2_000)
  expect(a.leads()).toBe(true)
  await a[Symbol.asyncDispose]()
})

test('impossible times are refused', () => {
  const lease = new Store().connect(new FakeClock())
  expect(() => createElector({ lease, identity: 'a', duration: 10_000 })).toThrow(RangeError)
})

describe('however slow and broken the store is', () => {
  test.each([1, 2, 3, 4, 5])(
    'two never lead at once, and somebody does when it heals (seed %i)',
    async (seed) => {
      let next = seed
      const random = (): number => (next = (next * 16_807) % 2_147_483_647) / 2_147_483_647
      const { clock, start, terms } = world()
      const all = ['a', 'b', 'c'].map((name) => start(name, { random }))
      for (const { connection } of all)
        connection.latency = () => (random() < 0.1 ? random() * 8_000 : random() * 200)
      for (let step = 0; step < 600; step++) {
        const { connection } = all[Math.floor(random() * 3)]!
        const kinds = ['no', 'no', 'refuses', 'hangs', 'loses answers'] as const
        if (random() < 0.1) connection.broken = kinds[Math.floor(random() * kinds.length)]!
        await clock.advance(500)
        expect(all.filter((each) => each.leads()).length).toBeLessThanOrEqual(1)
      }
      for (const { connection } of all) {
        connection.broken = 'no'
        connection.latency = () => 0
      }
      await clock.advance(60_000)
      expect(all.filter((each) => each.leads())).toHaveLength(1)
      expect(terms.length).toBeGreaterThan(1)
      // A process that loses the store and leads again before any other keeps its term.
      expect(terms).toEqual(terms.toSorted((a, b) => a - b))
      for (const each of all) await each[Symbol.asyncDispose]()
    },
  )
})
