import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { StakeEvents } from '../stake.ts'
import type { TargetKey } from '../types.ts'
import { hasPart, left, written, type Alive, type Beat, type Ledger, type MemberId } from './ledger.ts'
import { SharedStake } from './stake.ts'
import type { Coordination, Shared } from './types.ts'

/** Between two signs of life. */
const BEAT = 3_000
/** Without a sign of life for this long, a member is taken for dead, and what it shared for free. */
const DEAD_AFTER = 20_000
/** One that cannot give signs of life stops sending requests well before the others take it for dead. */
const TRUSTED_FOR = 12_000
/** Without news of its own signs of life for this long, a member knows nothing of the others'. */
const DEAF_AFTER = 10_000
/** The sign of life of one that has been silent for this long is removed: the store is not to fill with the dead. */
const BURIED_AFTER = 10 * 60_000
/** An update that takes longer has failed; it is tried again. */
const UPDATE_TIMEOUT = 5_000

/** When a member that has said goodbye was last seen. */
const LEFT = -Infinity

const MEMBER = 'member/'
const TARGET = 'target/'

export interface MembershipOptions {
  readonly id: MemberId
  readonly clock: Clock
  readonly onError: (error: Error) => void
}

type SignOfLife = { readonly count: Beat }

/**
 * One activator among several: tells the others that it lives, and knows which of them do. No clock is compared with
 * another machine's: a member is dead when its count has not moved for a while on the observer's own clock.
 */
export class Membership {
  readonly id: MemberId
  readonly clock: Clock
  readonly #coordination: Coordination
  readonly #onError: (error: Error) => void
  readonly #stakes = new Map<TargetKey, SharedStake>()
  readonly #ledgers = new Map<TargetKey, Ledger>()
  /** Each other member's last sign of life: its count, and when it was heard of. */
  readonly #seen = new Map<MemberId, { readonly beat: Beat; readonly at: number }>()
  /** The updates of one target are made one after the other. */
  readonly #updates = new Map<TargetKey, Promise<unknown>>()
  /** Its own signs of life come back as news: since when they have, and when the last one did. */
  #hearsSince: number
  #heard: number
  #trusted = false
  /** The sign of life by which it came back from its last silence. */
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
    // What it has taken since it was last heard of is a sign of life as well.
    if (!seen || beat > seen.beat) this.#seen.set(id, { beat, at: now })
    if (!seen || beat > seen.beat) return true
    if (seen.at === LEFT) return false
    // Who hears nothing, not even itself, cannot call others silent.
    if (now - this.#heard > DEAF_AFTER) return true
    return now - Math.max(seen.at, this.#hearsSince) < DEAD_AFTER
  }

  /** How many signs of life it has given. */
  get beats(): Beat {
    return this.#count
  }

  /** Whether the others respect what this one took when it had given so many signs of life. */
  isGood(beat: Beat | undefined): boolean {
    return this.#trusted && beat !== undefined && beat >= this.#trustedFrom
  }

  stake(key: TargetKey, events: StakeEvents): SharedStake {
    const stake = new SharedStake(key, this, events, this.#ledgers.get(key))
    this.#stakes.set(key, stake)
    return stake
  }

  /** The target is forgotten: a later one of that name gets a stake of its own. */
  forget(key: TargetKey, stake: SharedStake): void {
    if (this.#stakes.get(key) === stake) this.#stakes.delete(key)
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

  /** Leaves: the others need not wait for it to be taken for dead. Not waited for longer than the signal. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true
    this.#nextBeat.stop()
    this.#loseTrust()
    await this.#update<SignOfLife>(MEMBER + this.id, () => undefined, signal).catch(() => undefined)
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
      if (now - this.#heard > DEAF_AFTER) this.#hearsSince = now
      this.#heard = now
      return
    }
    // Gone for good, whatever it had taken.
    if (value) this.#seen.set(id, { beat: (value as SignOfLife).count, at: now })
    else this.#gone(id)
    if (!value) this.#recheckAll()
  }

  #gone(id: MemberId): void {
    this.#seen.set(id, { beat: Infinity, at: LEFT })
  }

  #targetNews(key: TargetKey, ledger: Ledger | undefined): void {
    if (ledger) this.#ledgers.set(key, ledger)
    else this.#ledgers.delete(key)
    this.#stakes.get(key)?.news(ledger)
  }

  async #beat(): Promise<void> {
    const began = this.clock.now()
    try {
      await this.#update<SignOfLife>(MEMBER + this.id, () => ({ count: ++this.#count }))
      if (!this.#closed) this.#gainTrust(began + TRUSTED_FOR)
    } catch (error) {
      this.failed(error as Error)
    }
    if (this.#closed) return
    this.#recheckAll()
    this.#bury()
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
    for (const stake of [...this.#stakes.values()]) stake.lose()
  }

  #bury(): void {
    const now = this.clock.now()
    if (now - this.#heard > DEAF_AFTER) return
    for (const [id, { beat, at }] of this.#seen) {
      if (at === LEFT || now - Math.max(at, this.#hearsSince) < BURIED_AFTER) continue
      this.#gone(id)
      // Compared with what is stored: should it live all the same, its sign of life stays and is heard of.
      const last = (sign: SignOfLife | undefined): SignOfLife | undefined =>
        sign && sign.count > beat ? sign : undefined
      this.#update<SignOfLife>(MEMBER + id, last).catch((error: Error) => this.failed(error))
    }
  }

  #recheckAll(): void {
    for (const stake of [...this.#stakes.values()]) stake.recheck()
    for (const [key, ledger] of this.#ledgers)
      if (!this.#stakes.has(key) && hasPart(ledger, this.id)) this.#leave(key)
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
