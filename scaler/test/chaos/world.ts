import assert from 'node:assert/strict'
import { createActivator, DEFAULT_POLICY } from '../../src/activator.ts'
import { FakeClock, FakeCoordination, settle, type FakeConnection } from '../../src/drivers/fake/index.ts'
import { ScalerError, type ScalerErrorCode } from '../../src/errors.ts'
import type { Activator, Lease, TargetKey, TargetPolicy } from '../../src/types.ts'
import { ChaosDriver, type Replica } from './driver.ts'
import type { Faults } from './faults.ts'
import { Process } from './process.ts'
import { APPS, MEMBERS, type Step } from './steps.ts'

const CONCURRENCY = [1, 3, 0]
const QUEUE_DEPTH = 8
const QUEUE_BYTES = 1_000
const READINESS = 30_000
const IDLE = 20_000
/**
 * A member that has been cut off for this long may be taken for dead: what it has out is forfeit. It is what the library waits
 * (20 s), less the age that its last sign of life may have had (two intervals of 3 s if an answer was lost, and delays).
 */
const FORFEIT = 12_000
/**
 * A member that has been cut off for this long may be lost (12 s after its last heartbeat), and then uses what nobody has granted
 * to it. It goes on until the store has answered: for at most the time below after the connection is back.
 */
const UNGRANTED = 8_000
const RENEWAL = 12_000
/** As the HTTP layer does. */
const MAX_ATTEMPTS = 5

/** With these a request may end; anything else is a bug. */
const FAIR: readonly ScalerErrorCode[] = [
  'SCALER_QUEUE_FULL',
  'SCALER_WAKE_TIMEOUT',
  'SCALER_TARGET_FAILED',
  'SCALER_RETIRED',
  'SCALER_CUT_OFF',
]

interface Member {
  readonly activator: Activator
  readonly connection: FakeConnection
  readonly process: Process
  /** On the clock's `now`. */
  cutSince: number | undefined
  stalledSince: number | undefined
  /** Until then it may use what nobody has granted to it. */
  doubtfulUntil: number
}

/** A request, from its arrival to its answer. */
interface Visit {
  readonly member: Member
  readonly app: number
  readonly abort: AbortController
  attempts: number
  lease: Lease | undefined
  /** It was out while its member was taken for dead. */
  forfeit: boolean
  /** How it ended, each time: more than one is a bug. */
  readonly ends: string[]
}

/** Does what the steps say to several activators on a fake clock, and holds what they do against the truth. */
export class World {
  readonly outcomes: Record<string, number> = {}
  readonly #clock = new FakeClock()
  readonly #driver = new ChaosDriver(this.#clock)
  readonly #members: Member[] = []
  readonly #coordination = new FakeCoordination(this.#clock)
  readonly #embedded: boolean
  readonly #faults: Faults
  #joined = 0
  readonly #versions: number[] = Array.from({ length: APPS }, () => 1)
  readonly #limits: { max: number; min: number }[] = Array.from({ length: APPS }, () => ({ max: 1, min: 0 }))
  #visits: Visit[] = []
  #broken: string | undefined

  /** With `embedded` the embedder's members say who lives, otherwise the library's own heartbeats. */
  static async begin({ embedded = false, faults = {} as Faults } = {}): Promise<World> {
    const world = new World(embedded, faults)
    for (let index = 0; index < MEMBERS; index++) await world.#join(index)
    world.#driver.onStop = (stopped) => world.#checkStop(stopped)
    world.#driver.most = faults.mostReplicas ?? Infinity
    if (faults.leavesTimer) world.#clock.schedule(2 ** 31 - 1, () => undefined)
    if (faults.leavesWatcher) await world.#driver.watch(() => undefined)
    return world
  }

  private constructor(embedded: boolean, faults: Faults) {
    this.#embedded = embedded
    this.#faults = faults
  }

  /** A new process takes a place among the members. */
  async #join(index: number): Promise<void> {
    const process = new Process(this.#clock, this.#driver, this.#faults.pausesUnnoticed)
    const connection = this.#coordination.connect({ members: this.#embedded, clock: process.clock })
    const activator = await createActivator({
      driver: process.driver,
      clock: process.clock,
      coordination: connection,
      instance: `member-${this.#joined++}`,
      keepAwake: () => this.#faults.keepAwake === true,
      policy: (key) => ({ ...this.#policyOf(key), ...this.#faults.policy }),
    })
    const { report } = activator
    if (this.#faults.resetsKill)
      activator.report = (key, id, fault) => {
        if (fault === 'reset') this.#driver.crash(key)
        report(key, id, fault)
      }
    this.#members[index] = {
      activator,
      connection,
      process,
      cutSince: undefined,
      stalledSince: undefined,
      doubtfulUntil: 0,
    }
  }

  async take(step: Step): Promise<void> {
    this.#act(step)
    if (step.do === 'advance') await this.#clock.advance(step.ms)
    if (step.do === 'die') await this.#die(step.member)
    await settle()
    this.#check()
  }

  /** Everything heals, everybody is served, all fall asleep: nothing may be left. */
  async end(): Promise<void> {
    Object.assign(this.#driver, {
      failing: false,
      refusing: false,
      hanging: false,
      acceptance: 0,
      start: 0,
      news: 0,
    })
    for (const [app, limits] of this.#limits.entries()) {
      Object.assign(limits, { max: 1, min: 0 })
      // Who would have retired an old version may have died: it is no longer kept awake.
      for (let version = 1; version <= this.#versions[app]!; version++)
        for (const { activator } of this.#members) activator.refresh(`${app}.${version}`)
    }
    for (const member of this.#members) {
      member.connection.loses = () => false
      member.connection.latency = () => 0
      this.#heal(member)
    }
    await this.#answerAll()
    // Longer than a dead member's share and a hung retirement.
    await this.#clock.advance(2 * 60_000)
    await this.#checkService()
    await this.#checkScaling()
    await this.#answerAll()
    await this.#clock.advance(2 * 60_000)
    const awake = [...this.#driver.replicas.values()].filter(({ ended }) => !ended)
    assert.deepEqual(awake, [], 'what is idle sleeps')
    // Longer than a dead member's share, a hung retirement and several idle times.
    await this.#clock.advance(10 * 60_000)
    const left = [...this.#driver.replicas.values()].filter(({ ended }) => !ended)
    assert.deepEqual(left, [], 'everything sleeps in the end')
    for (const { activator, connection } of this.#members) {
      await activator.close()
      connection.members?.[Symbol.dispose]()
    }
    assert.equal(this.#clock.pending, 0, 'no timer is left')
    assert.equal(this.#driver.watchers, 0, 'no watcher is left')
    assert.equal(this.#broken, undefined)
  }

  async #answerAll(): Promise<void> {
    for (let round = 0; this.#visits.length > 0; round++) {
      assert.ok(round < 500, 'every request is answered in the end')
      await this.#clock.advance(1_000)
      this.#check()
      for (const visit of this.#visits) this.#release(visit)
      await settle()
      this.#check()
    }
  }

  /** After everything has healed, each member serves each app, and running replicas are not replaced. */
  async #checkService(): Promise<void> {
    const running = new Set<string>()
    for (const member of [...this.#members, ...this.#members]) {
      const visits = CONCURRENCY.map((_, app) => this.#ask(member, app, 0))
      await this.#clock.advance(1_000)
      for (const { lease, ends, app } of visits)
        assert.ok(lease, `app ${app} is served after healing: ${ends.join()}`)
      for (const each of visits) running.add(each.lease!.endpoint.id)
      // Each member reports a fault of each healthy replica that it has used.
      for (const each of visits) this.#fail(each, 'reset')
      await settle()
      this.#check()
    }
    const restarted = [...running].filter((id) => this.#driver.replicas.get(id)!.ended)
    assert.deepEqual(restarted, [], 'no healthy replica is restarted')
  }

  /** Under load, an app gets as many replicas as its limit allows. */
  async #checkScaling(): Promise<void> {
    const app = CONCURRENCY.indexOf(0)
    this.#limits[app] = { max: 3, min: 0 }
    for (const { activator } of this.#members) activator.refresh(this.#keyOf(app))
    for (let count = 0; count < 6; count++) this.#ask(this.#members[count % MEMBERS]!, app, 0)
    await this.#clock.advance(30_000)
    this.#check()
    assert.equal(this.#driver.alive(this.#keyOf(app)).length, 3, 'replicas follow the load')
  }

  /** The process is killed: its requests are gone, and another process takes its place. */
  async #die(index: number): Promise<void> {
    const { process, connection } = this.#members[index]!
    process.stop()
    process.kill()
    connection.latency = () => 0
    connection.partition()
    this.#visits = this.#visits.filter(({ member }) => member.process !== process)
    this.#count('died')
    await this.#join(index)
  }

  #act(step: Step): void {
    const member = this.#members['member' in step ? step.member : 0]!
    const { activator, connection, process } = member
    // What is sent to a stopped process waits until it continues.
    if (process.isStopped && (step.do === 'ask' || step.do === 'sleep' || step.do === 'deploy'))
      return process.defer(() => this.#act(step))
    switch (step.do) {
      case 'ask':
        return void this.#ask(member, step.app, step.bytes)
      case 'release':
        return this.#nth(
          step.nth,
          (visit) => visit.lease !== undefined && !visit.member.process.isStopped,
          (visit) => this.#release(visit),
        )
      case 'hanging':
        this.#driver.hanging = step.on
        return
      case 'timeout':
      case 'reset':
        return this.#nth(
          step.nth,
          (visit) => visit.lease !== undefined && !visit.member.process.isStopped,
          (visit) => this.#fail(visit, step.do),
        )
      case 'abort':
        return this.#nth(
          step.nth,
          (visit) => !visit.member.process.isStopped,
          (visit) => visit.abort.abort(new Error('aborted')),
        )
      case 'sleep':
        if (this.#faults.sleepsByForce)
          void this.#driver.scale(this.#keyOf(step.app), 0, { signal: new AbortController().signal })
        return void activator.sleep(this.#keyOf(step.app)).then(
          (slept) => this.#count(slept ? 'slept' : 'stayed awake'),
          () => this.#count('could not sleep'),
        )
      case 'deploy':
        return this.#deploy(activator, step.app)
      case 'crash':
        if (this.#driver.crash(this.#keyOf(step.app))) this.#count('crashed')
        return
      case 'vanish':
        if (this.#driver.vanish(this.#keyOf(step.app))) this.#count('vanished')
        return
      case 'cut':
        // One that only misses notifications is alive for the others.
        if (step.directions?.join() !== 'notifications') member.cutSince ??= this.#clock.now()
        return connection.partition(...(step.directions ?? []))
      case 'stall':
        member.cutSince ??= this.#clock.now()
        member.stalledSince ??= this.#clock.now()
        process.stop()
        this.#count('stalled')
        return connection.partition()
      case 'heal':
        return this.#heal(member)
      case 'lose': {
        let left = step.answers
        connection.loses = () => left-- > 0
        return
      }
      case 'scale':
        this.#limits[step.app] = { max: step.max, min: step.min }
        for (const each of this.#members) each.activator.refresh(this.#keyOf(step.app))
        return
      case 'delays':
        Object.assign(this.#driver, { acceptance: step.acceptance, start: step.start, news: step.news })
        for (const member of this.#members) member.connection.latency = () => step.store
        return
      case 'failing':
        this.#driver.failing = step.on
        return
      case 'refusing':
        this.#driver.refusing = step.on
        return
      case 'advance':
      case 'die':
    }
  }

  #ask(member: Member, app: number, bytes: number): Visit {
    const abort = new AbortController()
    const visit: Visit = { member, app, abort, attempts: 0, lease: undefined, forfeit: false, ends: [] }
    this.#visits.push(visit)
    if ((this.outcomes['leased'] ?? 0) < (this.#faults.grants ?? Infinity)) void this.#request(visit, bytes)
    return visit
  }

  /** Retired meanwhile, it goes to the successor; refused by an endpoint that has crashed, to another. */
  async #request(visit: Visit, bytes: number): Promise<void> {
    const { activator } = visit.member
    const key = this.#keyOf(visit.app)
    visit.attempts++
    try {
      const lease = await activator.acquire(key, { signal: visit.abort.signal, bytes })
      const replica = this.#driver.replicas.get(lease.endpoint.id)!
      if (!this.#visits.includes(visit)) return
      if (replica.ended === 'crashed') {
        activator.report(key, replica.id, 'refused')
        lease.release()
        this.#count('refused')
        if (visit.attempts < MAX_ATTEMPTS) return void this.#request(visit, bytes)
        visit.ends.push('refused')
        return
      }
      // The grant may be some turns old: what has been stopped since then was stopped with this lease out.
      if (replica.ended === 'stopped' && !this.#isUngranted(visit.member))
        this.#break(`${replica.id} is dead, and was leased`)
      visit.lease = lease
      visit.forfeit = this.#isUngranted(visit.member)
      this.#count('leased')
    } catch (error) {
      const retired = error instanceof ScalerError && error.code === 'SCALER_RETIRED'
      if (retired && visit.attempts < MAX_ATTEMPTS) return void this.#request(visit, bytes)
      const fair = error instanceof ScalerError ? FAIR.includes(error.code) : visit.abort.signal.aborted
      if (!fair) this.#break(`a request ended with ${String(error)}`)
      const end = error instanceof ScalerError ? error.code : 'aborted'
      visit.ends.push(end)
      this.#count(end)
    }
  }

  #release(visit: Visit): void {
    if (!visit.lease) return
    visit.lease.release()
    visit.lease = undefined
    visit.ends.push('answered')
    if (this.#faults.answersTwice) visit.ends.push('answered')
  }

  /** The request fails, although the replica is healthy. */
  #fail(visit: Visit, fault: 'timeout' | 'reset'): void {
    visit.member.activator.report(this.#keyOf(visit.app), visit.lease!.endpoint.id, fault)
    this.#count(fault)
    this.#release(visit)
  }

  #deploy(activator: Activator, app: number): void {
    const old = this.#keyOf(app)
    this.#versions[app]!++
    const limit = new AbortController()
    const cancel = this.#clock.schedule(60_000, () => limit.abort())
    activator.retire(old, { signal: limit.signal }).then(
      () => cancel(),
      () => {
        cancel()
        // The driver refused: somebody has to ask again.
        this.#clock.schedule(5_000, () => this.#retireAgain(activator, old))
      },
    )
  }

  #retireAgain(activator: Activator, key: TargetKey): void {
    activator.retire(key).catch(() => this.#clock.schedule(5_000, () => this.#retireAgain(activator, key)))
  }

  #heal(member: Member): void {
    for (const visit of this.#visits) if (visit.member === member) visit.forfeit ||= this.#isForfeit(visit)
    if (this.#faults.neverHeals && member === this.#members[0]) return
    const { cutSince, process, stalledSince } = member
    // A process that was stopped asks the store first, unless it had been cut off before.
    if (cutSince !== undefined && (stalledSince ?? this.#clock.now()) - cutSince >= UNGRANTED)
      member.doubtfulUntil = this.#clock.now() + RENEWAL
    member.stalledSince = undefined
    member.cutSince = undefined
    const wasStopped = process.isStopped
    // The requests come first, then what the store and the driver have told, then the timers.
    process.continue(() => member.connection.heal())
    if (!wasStopped) member.connection.heal()
  }

  #checkStop(stopped: readonly Replica[]): void {
    for (const { id, key } of stopped) {
      const users = this.#visits.filter((visit) => visit.lease?.endpoint.id === id && !this.#isForfeit(visit))
      // A retirement that waited its minute may cut what is left.
      const retired = !this.#versions.some((_, app) => this.#keyOf(app) === key)
      if (users.length > 0 && !retired) this.#break(`${id} is stopped under ${users.length} requests`)
    }
  }

  #check(): void {
    assert.equal(this.#broken, undefined)
    for (const { ends } of this.#visits) assert.ok(ends.length <= 1, `answered once: ${ends.join()}`)
    this.#visits = this.#visits.filter(({ ends }) => ends.length === 0)
    this.#checkQueues()
    this.#checkCapacity()
  }

  #checkQueues(): void {
    for (const { activator } of this.#members) {
      for (const [key, stats] of activator.targets()) {
        assert.ok(stats.queued <= QUEUE_DEPTH, `${key} has ${stats.queued} waiting`)
        assert.ok(stats.inFlight >= 0 && stats.queued >= 0, `${key}: ${JSON.stringify(stats)}`)
      }
    }
  }

  #checkCapacity(): void {
    const load = new Map<string, number>()
    for (const visit of this.#visits) {
      if (!visit.lease || this.#isForfeit(visit)) continue
      const { id } = visit.lease.endpoint
      load.set(id, (load.get(id) ?? 0) + 1)
    }
    for (const [id, count] of load) {
      const replica = this.#driver.replicas.get(id)!
      const concurrency = this.#policyOf(replica.key).concurrency || Infinity
      if (!replica.ended) assert.ok(count <= concurrency, `${id} has ${count} requests of ${concurrency}`)
    }
  }

  #isForfeit({ member, lease, forfeit }: Visit): boolean {
    return lease !== undefined && (forfeit || this.#isCutOff(member))
  }

  #isCutOff({ cutSince }: Member): boolean {
    return cutSince !== undefined && this.#clock.now() - cutSince >= FORFEIT
  }

  /** Whether a request that this member sends now may be one that nobody has granted. */
  #isUngranted({ cutSince, doubtfulUntil, connection }: Member): boolean {
    const now = this.#clock.now()
    if (cutSince !== undefined && now - cutSince >= UNGRANTED) return true
    return now < doubtfulUntil || connection.unanswered >= 2
  }

  #nth(nth: number, fits: (visit: Visit) => boolean, act: (visit: Visit) => void): void {
    const fitting = this.#visits.filter((visit) => visit.ends.length === 0 && fits(visit))
    const visit = fitting[nth % Math.max(1, fitting.length)]
    if (visit) act(visit)
  }

  #policyOf(key: TargetKey): TargetPolicy {
    const app = Number(key.split('.')[0])
    const { max, min } = this.#limits[app]!
    return {
      ...DEFAULT_POLICY,
      concurrency: CONCURRENCY[app]!,
      queueDepth: QUEUE_DEPTH,
      queueBytes: QUEUE_BYTES,
      queueTimeout: 0,
      readinessTimeout: READINESS,
      idleTimeout: IDLE,
      // An old version is not kept.
      minReplicas: key === this.#keyOf(app) ? min : 0,
      maxReplicas: max,
      scaling: { targetConcurrency: 2, targetUtilization: 1, stableWindow: 12_000, panicWindow: 4_000 },
    }
  }

  #keyOf(app: number): TargetKey {
    return `${app}.${this.#versions[app]}`
  }

  #break(what: string): void {
    this.#broken ??= what
  }

  #count(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1
  }
}
