import type { Clock } from '../clock.ts'
import type { TargetLockEvents } from '../target-lock.ts'
import type { TargetKey } from '../types.ts'
import { BoundedStore } from './bounded-store.ts'
import { Heartbeats, MEMBER } from './heartbeats.ts'
import {
  hasMember,
  withoutMember,
  written,
  type Alive,
  type Beat,
  type Ledger,
  type MemberId,
} from './ledger.ts'
import { EmbeddersLiveness, type Liveness } from './members.ts'
import { fromStore, toStore } from './stored-ledger.ts'
import { SharedTargetLock } from './target-lock.ts'
import type { Coordination, Shared } from './types.ts'

const TARGET = 'target/'

export interface MembershipOptions {
  /** Must be unique to this activator. Ignored if the embedder provides `members`. */
  readonly id: MemberId
  readonly clock: Clock
  /** Called with the errors of updates that failed and will be retried. */
  readonly onError: (error: Error) => void
}

/** One of several activators: its locks, the ledgers from the store, and which other members are alive. */
export class Membership {
  readonly #liveness: Liveness
  readonly #store: BoundedStore
  readonly #onError: (error: Error) => void
  readonly #locks = new Map<TargetKey, SharedTargetLock>()
  readonly #ledgers = new Map<TargetKey, Ledger>()
  /** The last pending update of each target: the updates of one target run one after the other. */
  readonly #updates = new Map<TargetKey, Promise<unknown>>()
  #watch: AsyncDisposable | undefined
  #closed = false

  static async join(coordination: Coordination, options: MembershipOptions): Promise<Membership> {
    const member = new Membership(coordination, options)
    const liveness = member.#liveness
    member.#watch = await coordination.watch((key, value) => {
      if (member.#closed) return
      if (key.startsWith(TARGET)) member.#targetNews(key.slice(TARGET.length), value && fromStore(value))
      else if (liveness instanceof Heartbeats && key.startsWith(MEMBER))
        liveness.news(key.slice(MEMBER.length), value)
    })
    if (liveness instanceof Heartbeats) await liveness.start()
    return member
  }

  private constructor(coordination: Coordination, { id, clock, onError }: MembershipOptions) {
    this.#onError = onError
    this.#store = new BoundedStore(coordination, clock)
    const events = { lost: () => this.#loseAll(), changed: () => this.#recheckAll() }
    this.#liveness = coordination.members
      ? new EmbeddersLiveness(coordination.members, events)
      : new Heartbeats({ id, store: this.#store, clock, onError: (error) => this.failed(error), events })
  }

  get id(): MemberId {
    return this.#liveness.id
  }

  /** Aborts when the other members may no longer respect this member's locks. Aborts running scale calls. */
  get fence(): AbortSignal {
    return this.#liveness.fence
  }

  get alive(): Alive {
    return this.#liveness.alive
  }

  /** The heartbeat count to store with locks that this member takes now. */
  get beats(): Beat {
    return this.#liveness.beats
  }

  /** Whether the other members respect a lock of this member with this heartbeat count. */
  isGood(beat: Beat | undefined): boolean {
    return this.#liveness.isGood(beat)
  }

  lock(key: TargetKey, events: TargetLockEvents): SharedTargetLock {
    const lock = new SharedTargetLock(key, this, events, this.#ledgers.get(key))
    this.#locks.set(key, lock)
    return lock
  }

  /** Drops the lock of a target. A later target with the same key gets a new lock. */
  forget(key: TargetKey, lock: SharedTargetLock): void {
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
    await this.#liveness.close(signal)
    await this.#watch?.[Symbol.asyncDispose]()
  }

  #targetNews(key: TargetKey, ledger: Ledger | undefined): void {
    if (ledger) this.#ledgers.set(key, ledger)
    else this.#ledgers.delete(key)
    this.#locks.get(key)?.news(ledger)
  }

  #loseAll(): void {
    for (const lock of [...this.#locks.values()]) lock.lose()
  }

  #recheckAll(): void {
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
