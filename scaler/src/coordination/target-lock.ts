import { cutOff, retired as retiredError, ScalerError } from '../errors.ts'
import type { LoadReport, TargetLock, TargetLockEvents } from '../target-lock.ts'
import type { TargetKey } from '../types.ts'
import { LedgerCopy } from './ledger-copy.ts'
import {
  asRetired,
  isFree,
  joined,
  loadOfOthers,
  scaledDown,
  sum,
  withDead,
  withExclusive,
  withoutMember,
  withReport,
  withTerminated,
  type Ledger,
} from './ledger.ts'
import type { LockMember } from './lock-member.ts'
import { maySend, nextState, type LockEvent, type LockState } from './lock-state.ts'
import type { MemberId } from './members.ts'
import { SharedPlaces } from './shared-places.ts'

// Longer than 300 lines: one lock, whose operations all change the same state.

/**
 * The lock of one activator on a target that other activators may use. Everything that must be exact is decided by an update of
 * the ledger (compare-and-swap). Between two updates, the activator never uses more than it was granted.
 */
export class SharedTargetLock implements TargetLock {
  readonly #key: TargetKey
  readonly #member: LockMember
  readonly #events: TargetLockEvents
  readonly #ledger: LedgerCopy
  readonly #places: SharedPlaces
  #state: LockState = 'none'
  /** The id under which this activator got its share. After a loss of the member, the share is renewed under the new id. */
  #holder: MemberId | undefined
  #pending: PromiseWithResolvers<void> | undefined
  /** The running request for a share. If this is another value when it ends, the request is void. */
  #join: symbol | undefined
  #disposed = false
  /** This activator retires the target: the document is deleted in the end. */
  #retires = false
  /** Set when this activator has scaled the target to zero: the endpoints that it has stopped, until the ledger has them. */
  #stopped: readonly string[] | undefined
  /** The draining endpoints that this activator, as leader, has decided on. They apply here before the ledger is updated. */
  #decided: readonly string[] | undefined
  /** Resolves at the next notification or recheck. */
  #next = Promise.withResolvers<void>()

  constructor(key: TargetKey, member: LockMember, events: TargetLockEvents, ledger: Ledger | undefined) {
    this.#key = key
    this.#member = member
    this.#events = events
    this.#ledger = new LedgerCopy(key, member, ledger)
    this.#places = new SharedPlaces({
      me: () => this.#me,
      ledger: () => this.#ledger.living,
      granted: () => this.#isGranted,
      demand: () => events.demand(),
      step: (change) => this.#step(change),
      changed: () => events.changed(),
    })
  }

  check(): void {
    this.#member.check()
  }

  get isCutOff(): boolean {
    return this.#member.standing !== 'trusted'
  }

  get hasShare(): boolean {
    return maySend(this.#state, this.#member.standing, this.#ledger.living)
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
    this.#refuse(new Error('The request for a shared lock on the target was cancelled.'))
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
    const look = (): void => this.#next.resolve()
    signal?.addEventListener('abort', look)
    // A retired target gets no new shares, so the number of other members can only decrease.
    while (used && !signal?.aborted && !isFree(this.#ledger.living, this.#me)) {
      this.#next = Promise.withResolvers()
      await this.#next.promise
    }
    signal?.removeEventListener('abort', look)
    return used
  }

  async release(stopped?: readonly string[]): Promise<void> {
    this.cancel()
    this.#leave('drop')
    if (stopped) this.#stopped = [...(this.#stopped ?? []), ...stopped]
    const ids = this.#stopped
    if (this.#ledger.mayHaveEntry || this.#retires || ids) {
      const step = this.#step((now) => {
        const next = withoutMember(ids ? scaledDown(now, ids) : now, this.#me)
        return this.#retires && isFree(next, this.#me) ? undefined : next
      })
      await step.then(
        () => {
          if (this.#stopped === ids) this.#stopped = undefined
        },
        () => undefined,
      )
    }
    if (this.#disposed && !this.#ledger.isUnsure) this.#member.forget(this.#key, this)
  }

  dispose(): void {
    this.#disposed = true
    void this.release()
  }

  get leads(): boolean {
    return this.#isGranted && this.#ledger.living.leader === this.#me
  }

  get replicas(): number {
    return this.#ledger.current.replicas
  }

  get othersLoad(): number {
    return loadOfOthers(this.#ledger.living, this.#me)
  }

  get draining(): ReadonlySet<string> {
    return new Set(this.#decided ?? this.#ledger.current.draining)
  }

  get terminated(): ReadonlySet<string> {
    return new Set(this.#ledger.current.terminated)
  }

  get dead(): readonly string[] {
    return this.#ledger.current.dead
  }

  reportDead(endpoint: string, isDead: boolean): void {
    this.#step((now) => withDead(now, endpoint, isDead)).catch(() => undefined)
  }

  async report(report: LoadReport): Promise<boolean> {
    if (!this.#isGranted) return false
    const { drainings } = this.#ledger.current
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
    const ledger = await this.#step((now) =>
      withTerminated(now, this.#me, endpoints, this.#events.demand().load),
    )
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
    this.#ledger.news(ledger)
    this.#next.resolve()
    const { exclusive, retired } = this.#ledger.current
    if (retired) this.#events.retired()
    this.#noticeLoss()
    if (this.#pending && exclusive === null) void this.#requestShare()
    this.#changed()
  }

  /** The share is gone. Stops sending requests immediately. */
  deny(): void {
    this.#leave('deny')
  }

  /** Called periodically, and when a member has left or the standing of this one has changed. */
  recheck(): void {
    this.#next.resolve()
    const { load, waiting } = this.#events.demand()
    const isUsed = this.#pending !== undefined || waiting > 0 || sum(load) > 0
    const renews = this.#state === 'shared' && this.#holder !== this.#me
    if (renews || this.#state === 'wanted' || this.#pending || (this.#state === 'denied' && isUsed))
      void this.#requestShare()
    // The store may have executed an update after this activator had counted it as failed.
    const isIdle = !isUsed && (this.#state === 'none' || this.#state === 'denied')
    if (isIdle && this.#ledger.mayHaveEntry) void this.release()
    this.#changed()
  }

  get #me(): MemberId {
    return this.#member.id
  }

  /** Whether this activator holds a share that the others respect. */
  get #isGranted(): boolean {
    return this.#state === 'shared' && this.#holder === this.#me && this.#member.isTrusted
  }

  #go(event: LockEvent): void {
    this.#state = nextState(this.#state, event)
  }

  /** A request for a share that is under way is void. */
  #leave(event: 'deny' | 'drop' | 'seize'): void {
    this.#go(event)
    this.#join = undefined
    this.#places.clear()
    this.#events.changed()
  }

  #refuse(reason: Error): void {
    this.#pending?.reject(reason)
    this.#pending = undefined
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
    const result = await this.#step((now) =>
      this.#join === join ? joined(now, me, this.#events.demand()) : now,
    ).catch((error: Error) => error)
    // If the lock was lost or released in the meantime, a later update removes the share.
    if (this.#join !== join) return
    this.#join = undefined
    if (result instanceof ScalerError) return this.#refuse(result)
    if (!(result instanceof Error)) {
      if (result.retired) return this.#refuse(retiredError())
      if (result.shares[me]) {
        this.#holder = me
        this.#go('grant')
        this.#places.take(result)
      }
    }
    this.#changed()
  }

  async #step(change: (now: Ledger) => Ledger | undefined): Promise<Ledger> {
    const ledger = await this.#ledger.step(change)
    if (this.#ledger.current.retired) this.#events.retired()
    this.#noticeLoss()
    return ledger
  }

  #noticeLoss(): void {
    const { shares } = this.#ledger.current
    if (this.#state === 'shared' && !shares[this.#holder!] && !shares[this.#me]) this.deny()
  }
}
