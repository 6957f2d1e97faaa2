import { expect, test } from 'vitest'
import { createMeter, type MeteredDatabases } from './meter.ts'
import type { DatabaseRecord } from './store.ts'

const MB = 2 ** 20
const LIMIT = 100 * MB

/** Databases with a clock that moves when the meter waits. `at` sets what happens in them. */
class Bench {
  time = 0
  readonly measured: [time: number, name: string][] = []
  readonly changes: [userId: string, full: boolean][] = []
  readonly warnings: string[] = []
  readonly compacted: string[] = []
  readonly records = new Map<string, DatabaseRecord>()
  readonly bytes = new Map<string, number>()
  disk = 0
  failure: (Error & { code?: number }) | undefined
  /** By the name of the database. */
  readonly failures = new Map<string, Error>()
  compactFailure: (Error & { code?: number }) | undefined
  /** Runs something once at a time. */
  readonly at = new Map<number, () => void>()

  readonly databases: MeteredDatabases = {
    list: async () => [...this.records.values()],
    measure: async (name) => {
      const failure = this.failure ?? this.failures.get(name)
      if (failure) throw failure
      this.measured.push([this.time, name])
      return { bytes: this.bytes.get(name) ?? 0, diskBytes: this.disk, files: 4, measuredAt: new Date(0) }
    },
    saveUsage: async (userId, usage) => this.#change(userId, { usage }),
    setFull: async ({ userId }, full) => this.#change(userId, { full }),
    compact: async (name) => {
      this.compacted.push(name)
      if (this.compactFailure) throw this.compactFailure
    },
  }

  readonly meter = createMeter({
    databases: this.databases,
    limitBytes: LIMIT,
    onChange: (userId, full) => void this.changes.push([userId, full]),
    log: { info: () => undefined, error: () => undefined, warn: (_, text) => void this.warnings.push(text) },
    now: () => this.time,
  })

  add(...names: string[]): void {
    for (const name of names)
      this.records.set(name, { userId: name, name, password: '', generation: 1, ready: true, full: false })
  }

  /** Looks every two seconds, up to a time. */
  async until(end: number): Promise<void> {
    for (; this.time < end; this.time += 2_000) {
      this.at.get(this.time)?.()
      await this.meter.look(new AbortController().signal)
    }
  }

  timesOf(name: string): number[] {
    return this.measured.filter(([, measured]) => measured === name).map(([time]) => time)
  }

  #change(userId: string, changes: Partial<DatabaseRecord>): void {
    this.records.set(userId, { ...this.records.get(userId)!, ...changes })
  }
}

test('a database that grows is measured at every look, a quiet one every 20 s', async () => {
  const bench = new Bench()
  bench.add('quiet', 'growing')
  for (let time = 20_000; time <= 26_000; time += 2_000)
    bench.at.set(time, () => bench.bytes.set('growing', (time / 2_000) * 2 * MB))
  await bench.until(62_000)
  expect(bench.timesOf('quiet')).toEqual([0, 20_000, 40_000, 60_000])
  expect(bench.timesOf('growing')).toEqual([0, 20_000, 22_000, 24_000, 26_000, 28_000, 48_000])
})

test('a full database loses the right to write, and gets it back only below nine tenths of its limit', async () => {
  const bench = new Bench()
  bench.add('u1')
  const sizes = [LIMIT, LIMIT + 1, LIMIT, 0.91 * LIMIT, 0.89 * LIMIT, 0.99 * LIMIT]
  const changes: [boolean, number][] = []
  for (const size of sizes) {
    bench.bytes.set('u1', size)
    bench.time += 20_000
    await bench.meter.look(new AbortController().signal)
    changes.push([bench.records.get('u1')!.full, size / LIMIT])
  }
  expect(changes.map(([full]) => full)).toEqual([false, true, true, true, false, false])
  expect(bench.changes).toEqual([
    ['u1', true],
    ['u1', false],
  ])
})

test('a full database is measured at every look, so that deleting helps at once', async () => {
  const bench = new Bench()
  bench.add('u1')
  bench.bytes.set('u1', 2 * LIMIT)
  await bench.until(10_000)
  expect(bench.timesOf('u1')).toEqual([0, 2_000, 4_000, 6_000, 8_000])
})

test('when somebody creates collections fast, all databases are measured at every look for half a minute', async () => {
  const bench = new Bench()
  bench.add('u1', 'u2')
  bench.at.set(4_000, () => bench.meter.hurry())
  await bench.until(40_000)
  const times = Array.from({ length: 15 }, (_, n) => 4_000 + 2_000 * n)
  expect(bench.timesOf('u1').slice(1, 16)).toEqual(times)
  expect(bench.timesOf('u2')).toEqual(bench.timesOf('u1'))
  expect(bench.timesOf('u1').length).toBeLessThan(18)
})

test('with very many databases a look stays short, and all are measured in time', async () => {
  const bench = new Bench()
  bench.add(...Array.from({ length: 1_000 }, (_, n) => `u${n}`))
  await bench.until(52_000)
  const looks = Map.groupBy(bench.measured, ([time]) => time)
  expect(Math.max(...[...looks.values()].map((measured) => measured.length))).toBe(40)
  expect(new Set(bench.measured.map(([, name]) => name)).size).toBe(1_000)
})

test('files that stay large after their data was deleted are compacted at intervals', async () => {
  const bench = new Bench()
  bench.add('u1')
  bench.disk = 2 * LIMIT + 1
  await bench.until(602_000)
  expect(bench.compacted).toEqual(['u1', 'u1', 'u1'])
  bench.disk = LIMIT
  await bench.until(604_000)
  expect(bench.changes).toEqual([
    ['u1', true],
    ['u1', false],
  ])
})

test('the meter runs until its signal aborts', async () => {
  const bench = new Bench()
  bench.add('u1')
  const stop = new AbortController()
  const running = bench.meter.run(stop.signal)
  await expect.poll(() => bench.measured).toEqual([[0, 'u1']])
  stop.abort()
  await running
  await bench.meter.run(stop.signal)
  expect(bench.measured).toEqual([[0, 'u1']])
})

test('a MongoDB that does not answer is tried again; one that forbids measuring is logged once', async () => {
  const bench = new Bench()
  bench.add('u1')
  bench.failure = new Error('connection closed')
  await bench.until(4_000)
  expect(bench.warnings).toEqual(Array(2).fill(expect.stringMatching('trying again')))
  bench.failure = Object.assign(new Error('not authorized'), { code: 13 })
  await bench.until(12_000)
  expect(bench.warnings.slice(2)).toEqual([expect.stringMatching('lacks a role')])
})

test('a database that cannot be measured does not keep others from being measured', async () => {
  const bench = new Bench()
  bench.add('broken', 'whole')
  bench.failures.set('broken', new Error('no answer'))
  await bench.until(4_000)
  expect(bench.timesOf('whole')).toEqual([0])
  expect(bench.warnings).toContain('could not measure the databases; trying again')
})

test('a missing role for compaction does not end the measuring', async () => {
  const bench = new Bench()
  bench.add('large', 'other')
  bench.disk = 4 * LIMIT
  bench.compactFailure = Object.assign(new Error('not authorized'), { code: 13 })
  await bench.until(22_000)
  expect(bench.compacted.length).toBeGreaterThan(0)
  expect(bench.timesOf('other').at(-1)).toBe(20_000)
  expect(bench.changes).toContainEqual(['large', true])
})
