import { cutOff, retired } from '../errors.ts'
import type { LoadReport, TargetLock, TargetLockEvents } from '../target-lock.ts'
import type { TargetKey } from '../types.ts'
import {
  asRetired,
  EMPTY,
  hasMember,
  isFree,
  scaledDown,
  sum,
  withExclusive,
  withoutDead,
  withoutMember,
  withPlaces,
  withReport,
  withShare,
  withTerminated,
  type Alive,
  type Ledger,
} from './ledger.ts'
import { maySend, nextState, type LockEvent, type LockState, type Standing } from './lock-state.ts'
import type { MemberId } from './members.ts'
import { SharedPlaces } from './shared-places.ts'

/** The parts of a member that its locks use. */
export interface LockMember {
  readonly id: MemberId
  readonly alive: Alive
  readonly isTrusted: boolean
  readonly standing: Standing
  check(): void
  forget(key: TargetKey, lock: SharedTargetLock): void
  update(
    key: TargetKey,
    change: (ledger: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined>
  failed(error: Error): void
}

/**
 * The lock of one activator on a target that other activators may use. Everything that must be exact is decided by an update of
 * the ledger (compare-and-swap). Between two updates, the activator never uses more than it was granted.
 */
export class SharedTargetLock implements TargetLock {
  readonly #key: TargetKey
  readonly #member: LockMember
  readonly #events: TargetLockEvents
  readonly #places: SharedPlaces
  #state: LockState = 'none'
  /** The id under which this activator got its share. After a loss of the member, the share is renewed under the new id. */
  #holder: MemberId | undefined
  #ledger: Ledger
  /** The id of the document in the last notification. */
  #notifiedBorn: string | undefined
  /** The id of the last document whose deletion was notified. */
  #deletedBorn: string | undefined
  #pending: PromiseWithResolvers<void> | undefined
  /** The running request for a share. Another value when it ends: the request is void. */
  #join: symbol | undefined
  /**
   * An update has failed: the store may have executed it, or may still do so. The next update writes in any case, so that the
   * failed one can no longer succeed.
   */
  #unsure = false
  #openSteps = 0
  #disposed = false
  /** This activator retires the target: the document is deleted in the end. */
  #retires = false
  /** Endpoints that this activator has stopped but not yet recorded in the ledger. */
  readonly #stopped: string[] = []
  /** The draining endpoints that this activator, as leader, has decided on. They apply here before the ledger is updated. */
  #decided: readonly string[] | undefined
  readonly #waiters = new Set<() => void>()

  constructor(key: TargetKey, member: LockMember, events: TargetLockEvents, ledger: Ledger | undefined) {
    this.#key = key
    this.#member = member
    this.#events = events
    this.#ledger = withoutDead(ledger, member.alive)
    this.#places = new SharedPlaces({
      me: () => this.#me,
      ledger: () => this.#living,
      granted: () => this.#isGranted,
      demand: () => events.demand(),
      step: (change) => this.#step(change),
      changed: () => events.changed(),
    })
  }

  check(): void {
    this.#member.check()
  }

  get hasShare(): boolean {
    return maySend(this.#state, this.#member.standing, this.#living)
  }

  acquireShared(): Promise<void> | undefined {
    if (this.#pending) return this.#pending.promise
    this.#go('want')
    if (this.hasShare) return undefined
    this.#pending = Promise.withResolvers()
    // Nobody may be waiting for the promise when it is rejected.
    this.#pending.promise.catch(() => undefined)
    void this.#requestShare()
    return this.#pending.promise
  }

  cancel(): void {
    this.#join = undefined
    this.#pending?.reject(new Error('The request for a shared lock on the target was cancelled.'))
    this.#pending = undefined
  }

  async tryExclusive(): Promise<boolean> {
    if (!this.#member.isTrusted) throw cutOff()
    this.#leave('seize')
    const me = this.#me
    let ledger: Ledger
    try {
      ledger = await this.#step((now) => {
        const mine = withExclusive(now, me)
        return mine.exclusive?.id === me ? mine : withoutMember(now, me)
      })
    } catch (error) {
      if (this.#state === 'exclusive') this.#go('drop')
      throw error
    }
    const isMine = ledger.exclusive?.id === me
    // After a loss, other members may not have respected the lock.
    if (isMine && this.#member.isTrusted && me === this.#me) return true
    if (isMine) void this.release()
    else if (this.#state === 'exclusive') this.#go('drop')
    return false
  }

  async retire(signal?: AbortSignal): Promise<boolean> {
    this.#leave('drop')
    this.#retires = true
    const now = await this.#step((ledger) => withoutMember(asRetired(ledger), this.#me))
    const used = !isFree(now, this.#me)
    // A retired target gets no new shares, so the number of other members can only decrease.
    while (used && !signal?.aborted && !isFree(this.#living, this.#me)) await this.#change(signal)
    return used
  }

  async release(stopped: readonly string[] = []): Promise<void> {
    this.cancel()
    this.#leave('drop')
    this.#stopped.push(...stopped)
    const ids = [...this.#stopped]
    if (this.#mayHaveEntry || this.#retires || ids.length > 0) {
      const step = this.#step((now) => {
        const next = withoutMember(ids.length > 0 ? scaledDown(now, ids) : now, this.#me)
        return this.#retires && isFree(next, this.#me) ? undefined : next
      })
      await step.then(
        () => void this.#stopped.splice(0, ids.length),
        () => undefined,
      )
    }
    if (this.#disposed && !this.#unsure) this.#member.forget(this.#key, this)
  }

  dispose(): void {
    this.#disposed = true
    void this.release()
  }

  get leads(): boolean {
    return this.#isGranted && this.#living.leader === this.#me
  }

  get replicas(): number {
    return this.#ledger.replicas
  }

  get othersLoad(): number {
    const others = Object.entries(this.#living.shares).filter(([id]) => id !== this.#me)
    return others.reduce((total, [, share]) => total + share.load, 0)
  }

  get draining(): ReadonlySet<string> {
    return new Set(this.#decided ?? this.#ledger.draining)
  }

  get terminated(): ReadonlySet<string> {
    return new Set(this.#ledger.terminated)
  }

  async report(report: LoadReport): Promise<boolean> {
    if (!this.#isGranted) return false
    const { drainings } = this.#ledger
    const decided = report.lead?.draining
    this.#decided = decided
    try {
      const ledger = await this.#step((now) => withReport(now, this.#me, { ...report, drainings }))
      return ledger.leader === this.#me
    } finally {
      if (this.#decided === decided) this.#decided = undefined
    }
  }

  async remove(endpoints: readonly string[]): Promise<readonly string[]> {
    if (!this.#isGranted) return []
    const ledger = await this.#step((now) => {
      const { load } = this.#events.demand()
      const unused = endpoints.filter((id) => !load[id])
      return withTerminated(now, this.#me, unused)
    })
    return ledger.leader === this.#me ? endpoints.filter((id) => ledger.terminated.includes(id)) : []
  }

  places(endpointId: string, concurrency: number): number {
    return this.#places.of(endpointId, concurrency)
  }

  balance(): void {
    this.#places.balance()
  }

  handsOver(endpointId: string): boolean {
    return this.#places.handsOver(endpointId)
  }

  /** Handles a change of the ledger, made by this or another activator. */
  news(ledger: Ledger | undefined): void {
    if (ledger) {
      this.#notifiedBorn = ledger.born
      this.#accept(ledger)
    } else {
      // The deleted document is the one of the last notification. The result of an update may already have brought a newer one.
      this.#deletedBorn = this.#notifiedBorn
      if (this.#ledger.born === this.#deletedBorn) this.#ledger = EMPTY
    }
    for (const waiter of [...this.#waiters]) waiter()
    const { shares, exclusive } = this.#ledger
    if (this.#state === 'shared' && !shares[this.#holder!] && !shares[this.#me]) this.#leave('deny')
    if (this.#pending && exclusive === null) void this.#requestShare()
    this.#changed()
  }

  /** Called periodically, and when a member has left or the standing of this one has changed. */
  recheck(): void {
    for (const waiter of [...this.#waiters]) waiter()
    const { load, waiting } = this.#events.demand()
    const isUsed = this.#pending !== undefined || waiting > 0 || sum(load) > 0
    const renews = this.#state === 'shared' && this.#holder !== this.#me
    if (renews || this.#state === 'wanted' || this.#pending || (this.#state === 'denied' && isUsed))
      void this.#requestShare()
    // The store may have executed an update after this activator had counted it as failed.
    const isIdle = !isUsed && (this.#state === 'none' || this.#state === 'denied')
    if (isIdle && (this.#unsure || hasMember(this.#ledger, this.#me))) void this.release()
    this.#changed()
  }

  get #me(): MemberId {
    return this.#member.id
  }

  get #living(): Ledger {
    return withoutDead(this.#ledger, this.#member.alive)
  }

  /** Whether this activator holds a share that the others respect. */
  get #isGranted(): boolean {
    return this.#state === 'shared' && this.#holder === this.#me && this.#member.isTrusted
  }

  get #mayHaveEntry(): boolean {
    return this.#openSteps > 0 || this.#unsure || hasMember(this.#ledger, this.#me)
  }

  #go(event: LockEvent): void {
    this.#state = nextState(this.#state, event)
  }

  /** Stops sending requests immediately. A request for a share that is under way is void. */
  #leave(event: 'deny' | 'drop' | 'seize'): void {
    this.#go(event)
    this.#join = undefined
    this.#places.clear()
    this.#events.changed()
  }

  #changed(): void {
    if (this.#pending && this.hasShare) {
      this.#pending.resolve()
      this.#pending = undefined
    }
    this.#events.changed()
  }

  /** Asks for a share, or renews it under the present id. If it fails, the next `recheck` tries again. */
  async #requestShare(): Promise<void> {
    if (this.#join || !this.#member.isTrusted) return
    const join = (this.#join = Symbol('join'))
    const me = this.#me
    const ledger = await this.#step((now) => {
      if (this.#join !== join) return now
      const demand = this.#events.demand()
      const held = now.shares[me]?.places ?? {}
      const shared = withShare(now, me)
      return demand.concurrency === Infinity ? shared : withPlaces(shared, me, held, demand)
    }).catch(() => undefined)
    // If the lock was lost or released in the meantime, a later update removes the share.
    if (this.#join !== join) return
    this.#join = undefined
    if (ledger?.retired) {
      this.#pending?.reject(retired())
      this.#pending = undefined
      return this.#events.retired()
    }
    if (ledger?.shares[me]) {
      this.#holder = me
      this.#go('grant')
      this.#places.take(ledger)
    }
    this.#changed()
  }

  #accept(ledger: Ledger): void {
    const older = ledger.born === this.#ledger.born && ledger.revision < this.#ledger.revision
    if (older) return
    const news = ledger.retired && !this.#ledger.retired
    this.#ledger = ledger
    if (news) this.#events.retired()
  }

  async #step(change: (now: Ledger) => Ledger | undefined): Promise<Ledger> {
    this.#openSteps++
    try {
      const ledger = await this.#member.update(this.#key, (now) => {
        const living = withoutDead(now, this.#member.alive)
        const next = change(living)
        if (next !== living || living !== (now ?? EMPTY)) return next
        // An earlier failed update may still be running. This one writes in any case, which makes its compare-and-swap fail.
        return this.#unsure ? { ...living } : now
      })
      this.#unsure = false
      // Newer notifications may have arrived before this result, even that of the document's deletion.
      if (ledger && ledger.born !== this.#deletedBorn) this.#accept(ledger)
      return ledger ?? EMPTY
    } catch (error) {
      this.#unsure = true
      this.#member.failed(error as Error)
      throw error
    } finally {
      this.#openSteps--
    }
  }

  /** Resolves at the next notification or recheck, or when the signal aborts. */
  #change(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#waiters.add(done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }
}
