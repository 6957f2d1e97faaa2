import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import type { BoundedStore } from './bounded-store.ts'
import type { Alive, Beat, MemberId } from './ledger.ts'
import { cutOff, type Liveness, type LivenessEvents } from './members.ts'
import type { Shared } from './types.ts'

/** ms between two heartbeats. */
const BEAT = 3_000
/** ms without a heartbeat after which a member counts as dead and its locks as released. */
const DEAD_AFTER = 20_000
/** ms after its last successful heartbeat at which a member stops sending requests: well before others consider it dead. */
const TRUSTED_FOR = 12_000
/** ms without seeing its own heartbeats after which a member's watch counts as stale: it cannot tell whether others are alive. */
const WATCH_STALE_AFTER = 10_000
/** ms without a heartbeat after which other members delete a member's document from the store. */
const MEMBER_TTL = 10 * 60_000

/** Stored as the time of the last heartbeat of a member that has left. */
const LEFT = -Infinity

/** The prefix of heartbeat keys in the store. */
export const MEMBER = 'member/'

export interface HeartbeatsOptions {
  readonly id: MemberId
  readonly store: BoundedStore
  readonly clock: Clock
  readonly onError: (error: Error) => void
  readonly events: LivenessEvents
}

type Heartbeat = { readonly count: Beat }

/**
 * Detects which activators are alive by heartbeats in their store. The clocks of different machines are never compared: an
 * observer considers a member dead when the member's heartbeat count has not changed for a time on the observer's own clock.
 */
export class Heartbeats implements Liveness {
  readonly id: MemberId
  readonly #store: BoundedStore
  readonly #clock: Clock
  readonly #onError: (error: Error) => void
  readonly #events: LivenessEvents
  /** The last heartbeat of each other member: its count, and when it arrived. */
  readonly #seen = new Map<MemberId, { readonly beat: Beat; readonly at: number }>()
  /** When this member's own heartbeats first (after the watch was last stale) and last arrived through the watch. */
  #watchingSince: number
  #lastOwnBeat: number
  #trusted = false
  /** The count of the heartbeat with which this member last regained trust. */
  #trustedFrom: Beat = 0
  #fence = new AbortController()
  #count = 0
  readonly #nextBeat: Alarm
  readonly #trustEnds: Alarm
  #closed = false

  constructor({ id, store, clock, onError, events }: HeartbeatsOptions) {
    this.id = id
    this.#store = store
    this.#clock = clock
    this.#onError = onError
    this.#events = events
    this.#watchingSince = this.#lastOwnBeat = clock.now()
    this.#nextBeat = new Alarm(clock)
    this.#trustEnds = new Alarm(clock)
  }

  /** Sends the first heartbeat, and then one every BEAT ms. Resolves when the first one has been sent or has failed. */
  start(): Promise<void> {
    return this.#beat()
  }

  get fence(): AbortSignal {
    return this.#fence.signal
  }

  get beats(): Beat {
    return this.#count
  }

  readonly alive: Alive = (id, beat) => {
    if (id === this.id) return true
    const now = this.#clock.now()
    const seen = this.#seen.get(id)
    // A ledger entry with a newer count also shows that the member is alive.
    if (!seen || beat > seen.beat) this.#seen.set(id, { beat, at: now })
    if (!seen || beat > seen.beat) return true
    if (seen.at === LEFT) return false
    // While this member does not see its own heartbeats, it cannot tell that those of others are missing.
    if (now - this.#lastOwnBeat > WATCH_STALE_AFTER) return true
    return now - Math.max(seen.at, this.#watchingSince) < DEAD_AFTER
  }

  /** Whether other members respect a lock that this member took at heartbeat count `beat`. */
  isGood(beat: Beat | undefined): boolean {
    return this.#trusted && beat !== undefined && beat >= this.#trustedFrom
  }

  /** Handles a change of a heartbeat in the store. `value` is undefined when the member has left. */
  news(id: MemberId, value: Shared | undefined): void {
    const now = this.#clock.now()
    if (id === this.id) {
      if (now - this.#lastOwnBeat > WATCH_STALE_AFTER) this.#watchingSince = now
      this.#lastOwnBeat = now
      return
    }
    if (value) this.#seen.set(id, { beat: (value as Heartbeat).count, at: now })
    else this.#gone(id)
    if (!value) this.#events.changed()
  }

  /** Deletes this member's heartbeat, so that the others need not wait until it counts as dead. The signal ends the wait. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true
    this.#nextBeat.stop()
    this.#loseTrust()
    await this.#store.update<Heartbeat>(MEMBER + this.id, () => undefined, signal).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const began = this.#clock.now()
    try {
      await this.#store.update<Heartbeat>(MEMBER + this.id, () => ({ count: ++this.#count }))
      if (!this.#closed) this.#gainTrust(began + TRUSTED_FOR)
    } catch (error) {
      this.#failed(error as Error)
    }
    if (this.#closed) return
    this.#events.changed()
    this.#removeExpired()
    this.#nextBeat.set(BEAT, () => void this.#beat())
  }

  #gainTrust(until: number): void {
    if (!this.#trusted) {
      this.#fence = new AbortController()
      this.#trustedFrom = this.#count
    }
    this.#trusted = true
    this.#trustEnds.set(until - this.#clock.now(), () => this.#loseTrust())
  }

  #loseTrust(): void {
    this.#trusted = false
    this.#trustEnds.stop()
    this.#fence.abort(cutOff())
    this.#events.lost()
  }

  #removeExpired(): void {
    const now = this.#clock.now()
    if (now - this.#lastOwnBeat > WATCH_STALE_AFTER) return
    for (const [id, { beat, at }] of this.#seen) {
      if (at === LEFT || now - Math.max(at, this.#watchingSince) < MEMBER_TTL) continue
      this.#gone(id)
      // Deletes the document only if it has no newer heartbeat: a member that is alive after all keeps its document.
      const last = (heartbeat: Heartbeat | undefined): Heartbeat | undefined =>
        heartbeat && heartbeat.count > beat ? heartbeat : undefined
      this.#store.update<Heartbeat>(MEMBER + id, last).catch((error: Error) => this.#failed(error))
    }
  }

  /** Records that a member has left: locks that it took are ignored, whatever their heartbeat count. */
  #gone(id: MemberId): void {
    this.#seen.set(id, { beat: Infinity, at: LEFT })
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#onError(error)
  }
}
