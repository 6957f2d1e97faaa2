import type { TargetLock, TargetLockEvents, LoadReport } from '../target-lock.ts'
import { retired } from '../errors.ts'
import type { TargetKey } from '../types.ts'
import {
  scaledDown,
  EMPTY,
  hasMember,
  isFree,
  withShare,
  withoutMember,
  withoutDead,
  withTerminated,
  withReport,
  asRetired,
  withExclusive,
  sum,
  type Alive,
  type Beat,
  type Ledger,
  type MemberId,
} from './ledger.ts'

// Longer than 300 lines: one state machine in which each step reads and writes most of the fields.

/** The parts of a member that its locks use. */
export interface LockMember {
  readonly id: MemberId
  readonly alive: Alive
  readonly beats: Beat
  isGood(beat: Beat | undefined): boolean
  forget(key: TargetKey, lock: SharedTargetLock): void
  update(
    key: TargetKey,
    change: (ledger: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined>
  failed(error: Error): void
}
import { SharedPlaces } from './shared-places.ts'

/**
 * The lock of one activator on a target that other activators may use. Everything that must be exact is decided by an update of
 * the ledger (compare-and-swap). Between two updates, the activator never uses more than it was granted.
 */
export class SharedTargetLock implements TargetLock {
  readonly #key: TargetKey
  readonly #member: LockMember
  readonly #events: TargetLockEvents
  #ledger: Ledger
  /** The id of the document in the last notification. */
  #notifiedBorn: string | undefined
  /** The id of the last document whose deletion was notified. */
  #deletedBorn: string | undefined
  #granted = false
  #pending: PromiseWithResolvers<void> | undefined
  /** How often this lock was lost or released. */
  #losses = 0
  /** While an update that requests a share is pending: the value of `#losses` when the update began. */
  #joining: number | undefined
  /**
   * An update has failed: the store may have executed it, or may still do so. The next update writes in any case, so that the
   * failed one can no longer succeed.
   */
  #unsure = false
  /** Whether this activator holds or requests the exclusive lock. Reset when it releases the lock or gets a share again. */
  #exclusive = false
  /** Whether the ledger may contain an entry of this activator. */
  #engaged = false
  #disposed = false
  /** This activator retires the target: the document is deleted in the end. */
  #retires = false
  /** Endpoints that this activator has stopped but not yet recorded in the ledger. */
  readonly #stopped: string[] = []
  readonly #places: SharedPlaces
  /** The draining endpoints that this activator, as leader, has decided on. They apply here before the ledger is updated. */
  #decided: readonly string[] | undefined
  #waiters = new Set<() => void>()

  constructor(key: TargetKey, member: LockMember, events: TargetLockEvents, ledger: Ledger | undefined) {
    this.#key = key
    this.#member = member
    this.#events = events
    this.#ledger = withoutDead(ledger, member.alive)
    this.#places = new SharedPlaces({
      me: () => this.#me,
      ledger: () => this.#living,
      granted: () => this.#granted,
      demand: () => events.demand(),
      step: (change) => this.#step(change),
      changed: () => events.changed(),
    })
  }

  get hasShare(): boolean {
    return this.#granted
  }

  acquireShared(): Promise<void> | undefined {
    if (this.hasShare) return undefined
    if (!this.#pending) {
      this.#pending = Promise.withResolvers()
      // Nobody may be waiting for the promise when it is rejected.
      this.#pending.promise.catch(() => undefined)
      void this.#join()
    }
    return this.#pending.promise
  }

  cancel(): void {
    this.#pending?.reject(new Error('The request for a shared lock on the target was cancelled.'))
    this.#pending = undefined
  }

  async tryExclusive(): Promise<boolean> {
    this.lose()
    this.#engaged = this.#exclusive = true
    try {
      const ledger = await this.#step((now) => {
        const mine = withExclusive(now, this.#me, this.#member.beats)
        return mine.exclusive?.id === this.#me ? mine : withoutMember(now, this.#me)
      })
      this.#exclusive = ledger.exclusive?.id === this.#me
      if (!this.#exclusive) return false
      if (this.#member.isGood(ledger.exclusive?.beat)) return true
    } catch (error) {
      this.#exclusive = false
      throw error
    }
    // Other members may not have respected the lock.
    void this.release()
    return false
  }

  async retire(signal?: AbortSignal): Promise<boolean> {
    this.lose()
    this.#engaged = this.#retires = true
    const now = await this.#step((ledger) => withoutMember(asRetired(ledger), this.#me))
    const used = !isFree(now, this.#me)
    // A retired target gets no new shares, so the number of other members can only decrease.
    while (used && !signal?.aborted && !isFree(this.#living, this.#me)) await this.#change(signal)
    return used
  }

  async release(stopped: readonly string[] = []): Promise<void> {
    this.cancel()
    this.lose()
    this.#exclusive = false
    this.#stopped.push(...stopped)
    if (this.#engaged) {
      this.#engaged = false
      const ids = [...this.#stopped]
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
    return this.#granted && this.#living.leader === this.#me
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
    const before = this.#ledger
    if (ledger) {
      this.#notifiedBorn = ledger.born
      this.#accept(ledger)
    } else {
      // The deleted document is the one of the last notification. The result of an update may already have brought a newer one.
      this.#deletedBorn = this.#notifiedBorn
      if (before.born === this.#deletedBorn) this.#ledger = EMPTY
    }
    for (const waiter of [...this.#waiters]) waiter()
    const mine = this.#ledger.shares[this.#me] !== undefined
    if (this.#granted && !mine) this.lose()
    if (this.#pending && this.#ledger.exclusive === null) void this.#join()
    this.#events.changed()
  }

  /** Stops sending requests immediately, because the other activators may no longer respect the lock. */
  lose(): void {
    this.#losses++
    this.#granted = false
    this.#places.clear()
    this.#events.changed()
  }

  /** Called periodically and when a member has left: members may have died, or the coordination may be reachable again. */
  recheck(): void {
    for (const waiter of [...this.#waiters]) waiter()
    const { load, waiting } = this.#events.demand()
    const idle = !this.#granted && !this.#pending && !this.#exclusive && waiting === 0 && sum(load) === 0
    // The store may have executed an update after this activator had counted it as failed.
    if (idle && (this.#unsure || hasMember(this.#ledger, this.#me))) {
      this.#engaged = true
      void this.release()
    }
    if (this.#pending) void this.#join()
    this.#events.changed()
  }

  get #me(): string {
    return this.#member.id
  }

  get #living(): Ledger {
    return withoutDead(this.#ledger, this.#member.alive)
  }

  async #join(): Promise<void> {
    const pending = this.#pending
    const losses = this.#losses
    if (this.#joining === losses) return
    this.#joining = losses
    this.#engaged = true
    let ledger: Ledger
    try {
      ledger = await this.#step((now) =>
        this.#pending === pending ? withShare(now, this.#me, this.#member.beats) : now,
      )
    } catch {
      // The error has been reported. The next `recheck` tries again.
      return
    } finally {
      if (this.#joining === losses) this.#joining = undefined
    }
    // If the lock was lost or released in the meantime, a later update removes the share.
    if (!pending || this.#pending !== pending || this.#losses !== losses) return
    if (ledger.retired) {
      pending.reject(retired())
      this.#pending = undefined
      this.#events.retired()
    } else if (this.#member.isGood(ledger.shares[this.#me]?.beat)) {
      this.#granted = true
      this.#exclusive = false
      this.#pending = undefined
      pending.resolve()
      this.#events.changed()
    }
  }

  #accept(ledger: Ledger): void {
    const older = ledger.born === this.#ledger.born && ledger.revision < this.#ledger.revision
    if (older) return
    const news = ledger.retired && !this.#ledger.retired
    this.#ledger = ledger
    if (news) this.#events.retired()
  }

  async #step(change: (now: Ledger) => Ledger | undefined): Promise<Ledger> {
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
      this.#unsure = this.#engaged = true
      this.#member.failed(error as Error)
      throw error
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
