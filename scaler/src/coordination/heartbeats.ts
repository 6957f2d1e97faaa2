import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import type { BoundedStore } from './bounded-store.ts'
import type { Alive, Beat, MemberId } from './ledger.ts'
import { cutOff, type Liveness, type LivenessEvents } from './members.ts'
import type { Shared } from './types.ts'

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

/** The time at which a member that has left was last seen. */
const LEFT = -Infinity

/** Prefix of the keys of heartbeats in the store. */
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
 * The liveness that activators find out by themselves, by heartbeats in their store. No clock is compared with another
 * machine's: a member is dead when its count has not moved for a while on the observer's own clock.
 */
export class Heartbeats implements Liveness {
  readonly id: MemberId
  readonly #store: BoundedStore
  readonly #clock: Clock
  readonly #onError: (error: Error) => void
  readonly #events: LivenessEvents
  /** Each other member's last heartbeat: its count, and when it arrived. */
  readonly #seen = new Map<MemberId, { readonly beat: Beat; readonly at: number }>()
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
  #closed = false

  constructor({ id, store, clock, onError, events }: HeartbeatsOptions) {
    this.id = id
    this.#store = store
    this.#clock = clock
    this.#onError = onError
    this.#events = events
    this.#hearsSince = this.#heard = clock.now()
    this.#nextBeat = new Alarm(clock)
    this.#trustEnds = new Alarm(clock)
  }

  /** Sends the first heartbeat, and then one after the other. */
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
    // A change that it made since its last heartbeat shows that it lives, too.
    if (!seen || beat > seen.beat) this.#seen.set(id, { beat, at: now })
    if (!seen || beat > seen.beat) return true
    if (seen.at === LEFT) return false
    // A member whose own heartbeats do not come back cannot know that others are silent.
    if (now - this.#heard > WATCH_STALE_AFTER) return true
    return now - Math.max(seen.at, this.#hearsSince) < DEAD_AFTER
  }

  /** Whether the others respect what this member took when it had sent so many heartbeats. */
  isGood(beat: Beat | undefined): boolean {
    return this.#trusted && beat !== undefined && beat >= this.#trustedFrom
  }

  /** A heartbeat in the store has changed; undefined: the member has left. */
  news(id: MemberId, value: Shared | undefined): void {
    const now = this.#clock.now()
    if (id === this.id) {
      if (now - this.#heard > WATCH_STALE_AFTER) this.#hearsSince = now
      this.#heard = now
      return
    }
    if (value) this.#seen.set(id, { beat: (value as Heartbeat).count, at: now })
    else this.#gone(id)
    if (!value) this.#events.changed()
  }

  /** Leaves, so that the others need not wait until it counts as dead. Waits no longer than the signal. */
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
    if (now - this.#heard > WATCH_STALE_AFTER) return
    for (const [id, { beat, at }] of this.#seen) {
      if (at === LEFT || now - Math.max(at, this.#hearsSince) < MEMBER_TTL) continue
      this.#gone(id)
      // Compared with what is stored: if the member lives all the same, its heartbeat stays and arrives.
      const last = (heartbeat: Heartbeat | undefined): Heartbeat | undefined =>
        heartbeat && heartbeat.count > beat ? heartbeat : undefined
      this.#store.update<Heartbeat>(MEMBER + id, last).catch((error: Error) => this.#failed(error))
    }
  }

  /** It has left for good, whatever it had taken. */
  #gone(id: MemberId): void {
    this.#seen.set(id, { beat: Infinity, at: LEFT })
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#onError(error)
  }
}
