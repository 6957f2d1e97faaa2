import assert from 'node:assert/strict'
import { DEFAULT_POLICY } from '../src/activator.ts'
import { FakeDriver, settle, type ScaleCall } from '../src/drivers/fake/index.ts'
import { ScalerError } from '../src/errors.ts'
import type { Endpoint, Lease, TargetKey, TargetPolicy } from '../src/types.ts'
import type { WakeLimits } from '../src/wake-turns.ts'
import { gate, rig, type Asked, type Rig } from './harness.ts'

const CONCURRENCY: Readonly<Record<TargetKey, number>> = { one: 1, two: 2, three: 3, unlimited: 0 }
const KEYS = Object.keys(CONCURRENCY)
const POLICY: TargetPolicy = {
  ...DEFAULT_POLICY,
  queueDepth: 20,
  queueBytes: 500,
  readinessTimeout: 3_000,
  idleTimeout: 2_000,
}
const TRACE_LENGTH = 40

/** An acquire, and what became of its lease. */
interface Visit {
  readonly key: TargetKey
  readonly asked: Asked
  readonly abort: AbortController
  released: boolean
  checked: boolean
}

/** Mulberry32: 32 bits of state are plenty for a walk that can be walked again. */
function prng(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Does random things to an activator on a fake clock and driver, and keeps books of its own on what must hold. */
export class Walk {
  readonly trace: string[] = []
  readonly outcomes = { leased: 0, aborted: 0, full: 0, failed: 0, timedOut: 0, retired: 0, slept: 0 }
  steps = 0
  readonly #random: () => number
  readonly #rig: Rig
  #visits: Visit[] = []
  /** What the driver last reported. */
  readonly #reported = new Map<TargetKey, readonly Endpoint[]>()
  /** Ids that may not be leased any more: reported gone, or scaled down. */
  readonly #gone = new Set<string>()
  #goneBefore = new Set<string>()
  readonly #refused = new Set<string>()
  readonly #retiring = new Map<TargetKey, number>()
  #gates: { call: ScaleCall; open: () => void; shut: (error: Error) => void }[] = []
  #scaling = new Set<TargetKey>()
  #accepting = false
  #broken: string | undefined

  static async begin(seed: number, wakes: Partial<WakeLimits> = {}): Promise<Walk> {
    const driver = new FakeDriver()
    const policy = (key: TargetKey): TargetPolicy => ({ ...POLICY, concurrency: CONCURRENCY[key] ?? 0 })
    return new Walk(prng(seed), await rig({}, { driver, policy, wakes }))
  }

  private constructor(random: () => number, scaler: Rig) {
    this.#random = random
    this.#rig = scaler
    scaler.driver.onScale = (call) => this.#onScale(call)
    scaler.driver.onProbe = ({ id }) => !this.#refused.has(id)
    void scaler.driver.watch((key, { ready }) => this.#onNews(key, ready))
  }

  async step(): Promise<void> {
    this.steps++
    this.#goneBefore = new Set(this.#gone)
    for (let actions = 1 + this.#below(3); actions > 0; actions--) await this.#act()
    await settle()
    this.#check()
  }

  /** Lets everybody be served, gives everything back and lets time pass: nothing may be left. */
  async end(): Promise<void> {
    const { driver, clock, activator } = this.#rig
    this.#note('end')
    this.#accepting = true
    driver.lingers = false
    for (let round = 0; this.#visits.length > 0; round++) {
      assert.ok(round < 1_000, 'those who wait are served in the end')
      for (const { open } of this.#gates.splice(0)) open()
      await settle()
      for (const key of KEYS) if (activator.stats(key)?.phase === 'waking') driver.ready(key)
      await settle()
      this.#goneBefore = new Set(this.#gone)
      this.#check()
      for (const visit of this.#visits) this.#release(visit)
      await clock.advance(100)
    }
    for (const { open } of this.#gates.splice(0)) open()
    await clock.advance(POLICY.readinessTimeout + POLICY.idleTimeout + 1)
    for (const key of KEYS) driver.crash(key)
    await settle()
    for (const key of KEYS) assert.equal(activator.stats(key), undefined, `${key} is remembered`)
    assert.equal(this.#retiring.size, 0, 'every retirement has ended')
    assert.equal(clock.pending, 0, 'no timer is left')
    await activator.close()
    assert.equal(driver.watchers, 1, 'only the watcher of this walk is left')
  }

  async #act(): Promise<void> {
    const { driver, activator, clock } = this.#rig
    const key = KEYS[this.#below(KEYS.length)] ?? ''
    const roll = this.#below(100)
    if (roll < 34) this.#ask(key)
    else if (roll < 56)
      this.#pick(
        (visit) => this.#release(visit),
        (visit) => visit.asked.lease !== undefined,
      )
    else if (roll < 63) this.#pick((visit) => this.#abort(visit))
    else if (roll < 72) this.#ready(key)
    else if (roll < 75)
      this.#did(`fail ${key}`, () => driver.fail(key, { code: 'FAIL', message: 'It failed.' }))
    else if (roll < 78) this.#did(`crash ${key}`, () => driver.crash(key))
    else if (roll < 80) this.#lateNews(key)
    else if (roll < 86) {
      const ms = this.#below(10) === 0 ? 4_000 : this.#below(800)
      this.#note(`advance ${ms}`)
      await clock.advance(ms)
    } else if (roll < 89) {
      this.#note(`sleep ${key}`)
      const count = (slept: boolean): void => void (slept && this.outcomes.slept++)
      activator.sleep(key).then(count, () => undefined)
    } else if (roll < 90) this.#retire(key)
    else if (roll < 93) this.#report(key)
    else if (roll < 94) this.#did(`lingers ${!driver.lingers}`, () => (driver.lingers = !driver.lingers))
    else this.#answerScale()
  }

  #ask(key: TargetKey): void {
    const abort = new AbortController()
    const bytes = this.#below(3) === 0 ? this.#below(200) : 0
    this.#note(`ask ${key} ${bytes}`)
    const asked = this.#rig.ask(key, { signal: abort.signal, bytes })
    this.#visits.push({ key, asked, abort, released: false, checked: false })
  }

  #abort(visit: Visit): void {
    this.#note(`abort ${visit.key}`)
    visit.abort.abort(new Error('aborted'))
  }

  #release(visit: Visit): void {
    if (!visit.asked.lease) return
    this.#note(`release ${visit.key} ${visit.asked.lease.endpoint.id}`)
    visit.released = true
    visit.asked.lease.release()
    if (this.#below(5) === 0) visit.asked.lease.release()
  }

  #ready(key: TargetKey): void {
    const count = 1 + this.#below(3)
    this.#note(`ready ${key} ${count}`)
    // As a driver would: nothing becomes ready that was not asked for, or runs already.
    const phase = this.#rig.activator.stats(key)?.phase
    if (phase === 'waking' || phase === 'awake' || this.#below(4) === 0) this.#rig.driver.ready(key, count)
  }

  /** Some of what is reported is reported again: of a generation that drains, too. */
  #lateNews(key: TargetKey): void {
    const some = (this.#reported.get(key) ?? []).filter(() => this.#below(2) === 0)
    if (some.length === 0) return
    this.#did(`late ${key} ${ids(some)}`, () => {
      const { driver } = this.#rig
      const missing = (this.#reported.get(key) ?? []).filter((endpoint) => !some.includes(endpoint))
      driver.emit(key, { ready: some })
      // What was not reported again has ended: no later report may list it.
      if (missing.length > 0) driver.crash(key, ...missing.map(({ id }) => id))
    })
  }

  #report(key: TargetKey): void {
    const endpoints = this.#reported.get(key) ?? []
    const endpoint = endpoints[this.#below(endpoints.length)]
    if (!endpoint) return
    const fault = this.#below(2) === 0 ? 'refused' : 'timeout'
    this.#note(`report ${endpoint.id} ${fault}`)
    // While it drains the report is no news: should the driver refuse to stop it, it may be tried once more.
    if (fault === 'refused' && this.#rig.activator.stats(key)?.phase === 'awake') {
      this.#refused.add(endpoint.id)
      this.#gone.add(endpoint.id)
    }
    this.#rig.activator.report(key, endpoint.id, fault)
  }

  #retire(key: TargetKey): void {
    this.#note(`retire ${key}`)
    this.#retiring.set(key, (this.#retiring.get(key) ?? 0) + 1)
    const done = (): void => {
      const left = (this.#retiring.get(key) ?? 0) - 1
      if (left > 0) this.#retiring.set(key, left)
      else this.#retiring.delete(key)
      // Retired for good: nothing of it lingers for one who takes its name.
      this.#rig.driver.crash(key)
    }
    this.#rig.activator.retire(key).then(done, done)
  }

  /** The driver accepts a scale call that it was thinking about, or refuses it. */
  #answerScale(): void {
    const [answered] = this.#gates.splice(this.#below(this.#gates.length), 1)
    if (!answered) return
    const refuses = this.#below(6) === 0
    this.#note(`${refuses ? 'refuse' : 'accept'} ${answered.call.key} ${answered.call.replicas}`)
    if (refuses) answered.shut(new Error('refused by the driver'))
    else answered.open()
  }

  #onScale(call: ScaleCall): Promise<void> | void {
    const { key, replicas } = call
    this.#note(`  scale ${key} ${replicas}`)
    // Thrown here it would be the driver's error, and swallowed: the step throws it.
    if (this.#scaling.has(key)) this.#broken ??= 'scale calls of one target never overlap'
    const reported = this.#reported.get(key) ?? []
    if (replicas === 0) {
      const running = (id: string): boolean => reported.some((one) => one.id === id) && !this.#refused.has(id)
      if (this.#leases(key).some(({ endpoint }) => running(endpoint.id)))
        this.#broken ??= 'never down with leases out'
      for (const { id } of reported) this.#gone.add(id)
    }
    if (this.#accepting || this.#below(2) === 0) return
    this.#scaling.add(key)
    const answer = gate()
    this.#gates.push({ call, open: answer.open, shut: answer.shut })
    return answer.passed
      .catch((error: unknown) => {
        // A scale-down that is refused leaves running what is reported.
        if (replicas === 0) for (const { id } of this.#reported.get(key) ?? []) this.#revive(id)
        throw error
      })
      .finally(() => this.#scaling.delete(key))
  }

  #revive(id: string): void {
    this.#gone.delete(id)
    this.#goneBefore.delete(id)
    this.#refused.delete(id)
  }

  #onNews(key: TargetKey, ready: readonly Endpoint[]): void {
    for (const { id } of this.#reported.get(key) ?? [])
      if (!ready.some((endpoint) => endpoint.id === id)) this.#gone.add(id)
    this.#reported.set(key, ready)
  }

  #check(): void {
    assert.equal(this.#broken, undefined)
    for (const visit of this.#visits) this.#checkVisit(visit)
    this.#visits = this.#visits.filter(
      ({ asked, released }) => asked.settled === 0 || (asked.lease && !released),
    )
    for (const key of KEYS) this.#checkTarget(key)
  }

  #checkVisit(visit: Visit): void {
    const { lease, error, settled } = visit.asked
    assert.ok(settled <= 1, 'an acquire settles once')
    if (settled === 0) assert.ok(!visit.abort.signal.aborted, 'an aborted waiter leaves')
    if (settled === 0 || visit.checked) return
    visit.checked = true
    if (lease) {
      this.outcomes.leased++
      assert.ok(
        !this.#goneBefore.has(lease.endpoint.id),
        `${lease.endpoint.id} was gone before it was leased`,
      )
    } else if (error instanceof ScalerError) {
      const counter = {
        SCALER_QUEUE_FULL: 'full',
        SCALER_TARGET_FAILED: 'failed',
        SCALER_WAKE_TIMEOUT: 'timedOut',
        SCALER_RETIRED: 'retired',
      } as const
      const code = error.code
      assert.ok(code in counter, code)
      this.outcomes[counter[code as keyof typeof counter]]++
    } else {
      assert.equal(error, visit.abort.signal.reason)
      this.outcomes.aborted++
    }
  }

  #checkTarget(key: TargetKey): void {
    const stats = this.#rig.activator.stats(key)
    const leases = this.#leases(key)
    const waiting = this.#visits.filter((visit) => visit.key === key && visit.asked.settled === 0).length
    assert.equal(stats?.inFlight ?? 0, leases.length, `${key}: leases`)
    assert.equal(stats?.queued ?? 0, waiting, `${key}: waiting`)
    assert.ok(waiting <= POLICY.queueDepth, `${key}: queue depth`)
    if (stats) {
      // While a dead endpoint has leases, its replacement starts beside it.
      const isAwake = stats.endpoints > 0 || (stats.phase === 'awake' && leases.length + waiting > 0)
      assert.equal(stats.phase === 'awake', isAwake, `${key} is ${stats.phase} with ${stats.endpoints}`)
      if (stats.phase === 'asleep') assert.equal(waiting, 0, `${key}: nobody waits for a target that sleeps`)
    }
    const load = new Map<string, number>()
    for (const { endpoint } of leases) load.set(endpoint.id, (load.get(endpoint.id) ?? 0) + 1)
    const limit = CONCURRENCY[key] || Infinity
    for (const [id, count] of load) assert.ok(count <= limit, `${id} has ${count} leases of ${limit}`)
  }

  #leases(key: TargetKey): Lease[] {
    return this.#visits.flatMap(({ key: of, asked, released }) =>
      of === key && asked.lease && !released ? [asked.lease] : [],
    )
  }

  #pick(act: (visit: Visit) => void, fits: (visit: Visit) => boolean = () => true): void {
    const fitting = this.#visits.filter((visit) => !visit.released && fits(visit))
    const visit = fitting[this.#below(fitting.length)]
    if (visit) act(visit)
  }

  #did(note: string, act: () => void): void {
    this.#note(note)
    act()
  }

  #note(line: string): void {
    this.trace.push(`${this.steps}: ${line}`)
    if (this.trace.length > TRACE_LENGTH) this.trace.shift()
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

function ids(endpoints: readonly Endpoint[]): string {
  return endpoints.map(({ id }) => id).join(',')
}
