import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import { cutOff } from '../errors.ts'
import type { TargetLockEvents } from '../target-lock.ts'
import type { TargetKey } from '../types.ts'
import { BoundedStore } from './bounded-store.ts'
import { Heartbeats } from './heartbeats.ts'
import { hasMember, withoutMember, written, type Alive, type Ledger } from './ledger.ts'
import type { Standing } from './lock-state.ts'
import type { MemberId, Members } from './members.ts'
import { Pulse } from './pulse.ts'
import { fromStore, toStore } from './stored-ledger.ts'
import { SharedTargetLock } from './target-lock.ts'
import type { Coordination, Shared } from './types.ts'

const TARGET = 'target/'
/** A key without a document, to ask whether the store answers. */
const PROBE = 'probe'
/** ms that requests wait after a pause for an answer of the store: if the heartbeat under way fails, another one is sent. */
const CHECK_LIMIT = 4_000

export interface MembershipOptions {
  /** Must be unique to this activator. Ignored if the embedder provides `members`. */
  readonly id: MemberId
  readonly clock: Clock
  /** See Driver.isCurrent. */
  readonly isDriverCurrent: () => boolean
  /** Called with the errors of updates that failed and will be retried. */
  readonly onError: (error: Error) => void
}

/** One of several activators: its locks, the ledgers from the store, and whether the other members respect its locks. */
export class Membership {
  readonly #members: Members
  readonly #heartbeats: Heartbeats | undefined
  readonly #store: BoundedStore
  readonly #onError: (error: Error) => void
  readonly #isDriverCurrent: () => boolean
  readonly #pulse: Pulse
  readonly #checkEnds: Alarm
  readonly #locks = new Map<TargetKey, SharedTargetLock>()
  readonly #ledgers = new Map<TargetKey, Ledger>()
  /** The last pending update of each target: the updates of one target run one after the other. */
  readonly #updates = new Map<TargetKey, Promise<unknown>>()
  #id: MemberId
  /** The id before the last loss. It counts as dead for this process, which may remove its locks. */
  #former: MemberId | undefined
  #standing: Standing = 'cutOff'
  /** The standing with which the places were last counted. */
  #counted: Standing = 'cutOff'
  #fence = new AbortController()
  #startFence = new AbortController()
  readonly #memberWatch: Disposable
  #watch: AsyncDisposable | undefined
  #closed = false

  static async join(coordination: Coordination, options: MembershipOptions): Promise<Membership> {
    const member = new Membership(coordination, options)
    member.#watch = await coordination.watch((key, value) => member.#news(key, value))
    await member.#heartbeats?.start()
    member.#look()
    return member
  }

  private constructor(coordination: Coordination, options: MembershipOptions) {
    const { id, clock, onError } = options
    this.#onError = onError
    this.#isDriverCurrent = options.isDriverCurrent
    const store = (this.#store = new BoundedStore(coordination, clock))
    if (!coordination.members)
      this.#heartbeats = new Heartbeats({ name: id, store, clock, onError: (error) => this.failed(error) })
    this.#members = coordination.members ?? this.#heartbeats!
    this.#id = this.#members.id
    this.#pulse = new Pulse(clock, () => this.#paused())
    this.#checkEnds = new Alarm(clock)
    this.#memberWatch = this.#members.watch(() => this.#look())
  }

  get id(): MemberId {
    return this.#id
  }

  /** Aborts when the other members may no longer respect this member's locks. Aborts scale calls that stop something. */
  get fence(): AbortSignal {
    return this.#fence.signal
  }

  /**
   * The same for scale calls that only start something. A pause of the process does not abort it: most pauses are short, and a
   * call that comes too late starts what the others will adopt.
   */
  get startFence(): AbortSignal {
    return this.#startFence.signal
  }

  /** Whether the other members respect this member's locks. */
  get isTrusted(): boolean {
    return this.#standing === 'trusted'
  }

  get standing(): Standing {
    const standing = this.isTrusted && this.#store.isSilent ? 'cutOff' : this.#standing
    return standing === 'cutOff' && !this.#isDriverCurrent() ? 'blind' : standing
  }

  readonly alive: Alive = (id) => id === this.#id || (id !== this.#former && !this.#members.isDead(id))

  /** See TargetLock.check. */
  check(): void {
    this.#pulse.check()
    // The driver does not tell when it loses its watch.
    if (this.standing !== this.#counted) this.#recheck()
  }

  lock(key: TargetKey, events: TargetLockEvents): SharedTargetLock {
    const lock = new SharedTargetLock(key, this, events, this.#ledgers.get(key))
    this.#locks.set(key, lock)
    return lock
  }

  /** Drops the lock of a target. A later target with the same key gets a new lock. */
  forget(key: TargetKey, lock: object): void {
    if (this.#locks.get(key) === lock) this.#locks.delete(key)
  }

  /** Replaces the target's ledger by the result of `change`. Writes nothing if `change` returns its argument. */
  update(
    key: TargetKey,
    change: (ledger: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined> {
    const before = this.#updates.get(key) ?? Promise.resolve()
    const step = (stored: Shared | undefined): Shared | undefined => {
      const now = stored && fromStore(stored)
      const next = change(now)
      return next === now ? stored : next && toStore(written(next))
    }
    const result = before
      .then(() => this.#store.update(TARGET + key, step))
      .then((stored) => stored && fromStore(stored))
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    this.#updates.set(key, settled)
    void settled.then(() => {
      if (this.#updates.get(key) === settled) this.#updates.delete(key)
    })
    return result
  }

  failed(error: Error): void {
    if (!this.#closed) this.#onError(error)
  }

  /** Leaves, so that the other members need not wait until this one counts as dead. The signal ends the wait. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true
    this.#pulse.stop()
    this.#checkEnds.stop()
    this.#distrust('cutOff')
    await this.#heartbeats?.close(signal)
    this.#memberWatch[Symbol.dispose]()
    await this.#watch?.[Symbol.asyncDispose]()
  }

  #news(key: string, value: Shared | undefined): void {
    if (this.#closed) return
    this.#heartbeats?.news(key, value)
    if (!key.startsWith(TARGET)) return
    const target = key.slice(TARGET.length)
    this.#ledgers.delete(target)
    try {
      const ledger = value && fromStore(value)
      if (ledger) this.#ledgers.set(target, ledger)
      this.#locks.get(target)?.news(ledger)
    } catch {
      this.#locks.get(target)?.deny()
    }
  }

  /** Called by the members every few seconds, and when something has changed. */
  #look(): void {
    if (this.#closed) return
    const { id, lost } = this.#members
    if (!lost.aborted) {
      // After a pause, the timer that would tell of the loss may not have run yet.
      if (!this.#pulse.isOverdue && (this.#heartbeats?.isConfirmed ?? true)) this.#trust(id)
    } else if (this.#standing === 'trusted') this.#distrust('cutOff')
    if (this.#store.isSilent) this.#store.update(PROBE, (now) => now).catch(() => undefined)
    this.#recheck()
  }

  #trust(id: MemberId): void {
    if (this.#standing === 'trusted') return
    const wasPaused = this.#standing === 'checking'
    this.#standing = 'trusted'
    this.#checkEnds.stop()
    this.#fence = new AbortController()
    if (id !== this.#id) this.#startFence.abort(cutOff())
    if (this.#startFence.signal.aborted) this.#startFence = new AbortController()
    if (id === this.#id) return
    this.#former = this.#id
    this.#id = id
    // After an outage, shares are renewed while they are used. After a pause, others are more likely to have taken them over.
    if (wasPaused) for (const lock of [...this.#locks.values()]) lock.deny()
  }

  #distrust(standing: 'checking' | 'cutOff'): void {
    this.#standing = standing
    this.#fence.abort(cutOff())
    if (standing === 'cutOff') this.#startFence.abort(cutOff())
  }

  /** Nobody knows for how long the process was stopped: the members must ask the store before the next request is sent. */
  #paused(): void {
    this.#distrust('checking')
    this.#heartbeats?.doubt()
    this.#store.excuse()
    this.#checkEnds.set(CHECK_LIMIT, () => {
      this.#distrust('cutOff')
      this.#recheck()
    })
    this.#recheck()
  }

  #recheck(): void {
    this.#counted = this.standing
    for (const lock of [...this.#locks.values()]) lock.recheck()
    for (const [key, ledger] of this.#ledgers)
      if (!this.#locks.has(key) && hasMember(ledger, this.id)) this.#leave(key)
  }

  /** Removes this member from the ledger of a target that has no lock here: an earlier update failed or took effect late. */
  #leave(key: TargetKey): void {
    this.update(key, (ledger) => ledger && withoutMember(ledger, this.id)).catch((error: Error) =>
      this.failed(error),
    )
  }
}
