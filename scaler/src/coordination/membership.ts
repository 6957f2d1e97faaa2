import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { TargetLockEvents } from '../target-lock.ts'
import type { TargetKey } from '../types.ts'
import { hasPart, left, written, type Alive, type Beat, type Ledger, type MemberId } from './ledger.ts'
import { SharedTargetLock } from './target-lock.ts'
import type { Coordination, Shared } from './types.ts'

/** ms between two heartbeats. */
const BEAT = 3_000
/** ms without a heartbeat, after which a member counts as dead, and its locks as released. */
const DEAD_AFTER = 20_000
/** ms after its last heartbeat, at which a member stops sending requests: well before the others count it as dead. */
const TRUSTED_FOR = 12_000
/** ms without news of its own heartbeats, after which a member cannot tell whether the others live: its watch is stale. */
const WATCH_STALE_AFTER = 10_000
/** ms without a heartbeat, after which the others remove a member's document from the store. */
const MEMBER_TTL = 10 * 60_000
/** ms after which an update has failed. It is tried again. */
const UPDATE_TIMEOUT = 5_000

/** The time at which a member that has left was last seen. */
const LEFT = -Infinity

const MEMBER = 'member/'
const TARGET = 'target/'

export interface MembershipOptions {
  readonly id: MemberId
  readonly clock: Clock
  readonly onError: (error: Error) => void
}

type Heartbeat = { readonly count: Beat }

/**
 * One activator among several: sends heartbeats to the others, and knows which of them live. No clock is compared with
 * another machine's: a member is dead when its count has not moved for a while on the observer's own clock.
 */
export class Membership {
  readonly id: MemberId
  readonly clock: Clock
  readonly #coordination: Coordination
  readonly #onError: (error: Error) => void
  readonly #locks = new Map<TargetKey, SharedTargetLock>()
  readonly #ledgers = new Map<TargetKey, Ledger>()
  /** Each other member's last heartbeat: its count, and when it arrived. */
  readonly #seen = new Map<MemberId, { readonly beat: Beat; readonly at: number }>()
  /** The updates of one target are made one after the other. */
  readonly #updates = new Map<TargetKey, Promise<unknown>>()
  /** Its own heartbeats come back as news: the times of the first and of the last one. */
  #hearsSince: number
  #heard: number
  #trusted = false
  /** The count of the first heartbeat after its last pause. */
  #trustedFrom: Beat = 0
  #fence = new AbortController()
  #count = 0
  readonly #nextBeat: Alarm
  readonly #trustEnds: Alarm
  #watch: AsyncDisposable | undefined
  #closed = false

  /** `id` must be this activator's alone. `onError` hears of updates that failed and are tried again. */
  static async join(coordination: Coordination, options: MembershipOptions): Promise<Membership> {
    const member = new Membership(coordination, options)
    member.#watch = await coordination.watch((key, value) => member.#news(key, value))
    await member.#beat()
    return member
  }

  private constructor(coordination: Coordination, { id, clock, onError }: MembershipOptions) {
    this.id = id
    this.#coordination = coordination
    this.clock = clock
    this.#onError = onError
    this.#hearsSince = this.#heard = clock.now()
    this.#nextBeat = new Alarm(clock)
    this.#trustEnds = new Alarm(clock)
  }

  /** Fires when trust is lost: what is being done to targets may be no longer this one's to do. */
  get fence(): AbortSignal {
    return this.#fence.signal
  }

  readonly alive: Alive = (id, beat) => {
    if (id === this.id) return true
    const now = this.clock.now()
    const seen = this.#seen.get(id)
    // A change that it made since its last heartbeat shows that it lives, too.
    if (!seen || beat > seen.beat) this.#seen.set(id, { beat, at: now })
    if (!seen || beat > seen.beat) return true
    if (seen.at === LEFT) return false
    // A member whose own heartbeats do not come back cannot know that others are silent.
    if (now - this.#heard > WATCH_STALE_AFTER) return true
    return now - Math.max(seen.at, this.#hearsSince) < DEAD_AFTER
  }

  /** The number of heartbeats that this member has sent. */
  get beats(): Beat {
    return this.#count
  }

  /** Whether the others respect what this member took when it had sent so many heartbeats. */
  isGood(beat: Beat | undefined): boolean {
    return this.#trusted && beat !== undefined && beat >= this.#trustedFrom
  }

  lock(key: TargetKey, events: TargetLockEvents): SharedTargetLock {
    const lock = new SharedTargetLock(key, this, events, this.#ledgers.get(key))
    this.#locks.set(key, lock)
    return lock
  }

  /** The target is forgotten: a later one of that name gets a lock of its own. */
  forget(key: TargetKey, lock: SharedTargetLock): void {
    if (this.#locks.get(key) === lock) this.#locks.delete(key)
  }

  /** Writes what `change` makes of the target's ledger, unless that is the very one that it was given. */
  update(
    key: TargetKey,
    change: (ledger: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined> {
    const before = this.#updates.get(key) ?? Promise.resolve()
    const step = (now: Ledger | undefined): Ledger | undefined => {
      const next = change(now)
      return next === now ? now : next && written(next)
    }
    const result = before.then(() => this.#update(TARGET + key, step))
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

  /** Leaves, so that the others need not wait until it counts as dead. Waits no longer than the signal. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true
    this.#nextBeat.stop()
    this.#loseTrust()
    await this.#update<Heartbeat>(MEMBER + this.id, () => undefined, signal).catch(() => undefined)
    await this.#watch?.[Symbol.asyncDispose]()
  }

  #news(key: string, value: Shared | undefined): void {
    if (this.#closed) return
    if (key.startsWith(MEMBER)) this.#memberNews(key.slice(MEMBER.length), value)
    else if (key.startsWith(TARGET)) this.#targetNews(key.slice(TARGET.length), value as Ledger | undefined)
  }

  #memberNews(id: MemberId, value: Shared | undefined): void {
    const now = this.clock.now()
    if (id === this.id) {
      if (now - this.#heard > WATCH_STALE_AFTER) this.#hearsSince = now
      this.#heard = now
      return
    }
    // Gone for good, whatever it had taken.
    if (value) this.#seen.set(id, { beat: (value as Heartbeat).count, at: now })
    else this.#gone(id)
    if (!value) this.#recheckAll()
  }

  #gone(id: MemberId): void {
    this.#seen.set(id, { beat: Infinity, at: LEFT })
  }

  #targetNews(key: TargetKey, ledger: Ledger | undefined): void {
    if (ledger) this.#ledgers.set(key, ledger)
    else this.#ledgers.delete(key)
    this.#locks.get(key)?.news(ledger)
  }

  async #beat(): Promise<void> {
    const began = this.clock.now()
    try {
      await this.#update<Heartbeat>(MEMBER + this.id, () => ({ count: ++this.#count }))
      if (!this.#closed) this.#gainTrust(began + TRUSTED_FOR)
    } catch (error) {
      this.failed(error as Error)
    }
    if (this.#closed) return
    this.#recheckAll()
    this.#removeExpired()
    this.#nextBeat.set(BEAT, () => void this.#beat())
  }

  #gainTrust(until: number): void {
    if (!this.#trusted) {
      this.#fence = new AbortController()
      this.#trustedFrom = this.#count
    }
    this.#trusted = true
    this.#trustEnds.set(until - this.clock.now(), () => this.#loseTrust())
  }

  #loseTrust(): void {
    this.#trusted = false
    this.#trustEnds.stop()
    const message = 'This server cannot reach the others. Try again shortly.'
    this.#fence.abort(new ScalerError('SCALER_CUT_OFF', message, { retryAfter: 1 }))
    for (const lock of [...this.#locks.values()]) lock.lose()
  }

  #removeExpired(): void {
    const now = this.clock.now()
    if (now - this.#heard > WATCH_STALE_AFTER) return
    for (const [id, { beat, at }] of this.#seen) {
      if (at === LEFT || now - Math.max(at, this.#hearsSince) < MEMBER_TTL) continue
      this.#gone(id)
      // Compared with what is stored: if the member lives all the same, its heartbeat stays and arrives.
      const last = (heartbeat: Heartbeat | undefined): Heartbeat | undefined =>
        heartbeat && heartbeat.count > beat ? heartbeat : undefined
      this.#update<Heartbeat>(MEMBER + id, last).catch((error: Error) => this.failed(error))
    }
  }

  #recheckAll(): void {
    for (const lock of [...this.#locks.values()]) lock.recheck()
    for (const [key, ledger] of this.#ledgers)
      if (!this.#locks.has(key) && hasPart(ledger, this.id)) this.#leave(key)
  }

  /** A target that is forgotten here, but of which the last step was taken late or not at all. */
  #leave(key: TargetKey): void {
    this.update(key, (ledger) => ledger && left(ledger, this.id)).catch((error: Error) => this.failed(error))
  }

  async #update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    const limit = new AbortController()
    const timedOut = new Error(`The coordination did not answer within ${UPDATE_TIMEOUT / 1000} s.`)
    const end = (): void => limit.abort(timedOut)
    const cancel = this.clock.schedule(UPDATE_TIMEOUT, end)
    signal?.addEventListener('abort', end)
    try {
      // A store that does not heed the signal must not hold the member up.
      return await Promise.race([
        this.#coordination.update<T>(key, (now) => (limit.signal.aborted ? now : change(now)), {
          signal: limit.signal,
        }),
        new Promise<never>((_, reject) => {
          limit.signal.addEventListener('abort', () => reject(timedOut), { once: true })
        }),
      ])
    } finally {
      cancel()
      signal?.removeEventListener('abort', end)
    }
  }
}
