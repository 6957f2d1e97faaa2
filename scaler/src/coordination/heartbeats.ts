import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import type { BoundedStore } from './bounded-store.ts'
import type { MemberId, Members } from './members.ts'
import type { Shared } from './types.ts'

/** ms between two heartbeats. */
const BEAT = 3_000
/** ms without a heartbeat after which the other members remove a member. */
const DEAD_AFTER = 20_000
/** ms after its last successful heartbeat at which a member counts itself as lost: well before others may remove it. */
const TRUSTED_FOR = 12_000
/** How many ids of removed members are remembered. The store is asked about any other unknown id. */
const MAX_GONE = 1_000

/** The prefix of heartbeat keys in the store. */
const MEMBER = 'member/'

type Heartbeat = { readonly count: number }

export interface HeartbeatsOptions {
  /** The prefix of this member's ids. */
  readonly name: string
  readonly store: BoundedStore
  readonly clock: Clock
  readonly onError: (error: Error) => void
}

/**
 * Members that send heartbeats to the activators' store. A member is alive as long as its heartbeat is stored. Who sees that a
 * heartbeat has not changed for a time on the own clock removes it, by compare-and-swap: so the clocks of different machines are
 * never compared, and an observer whose notifications are late removes nobody. The removed member returns with a new id.
 */
export class Heartbeats implements Members {
  readonly #options: HeartbeatsOptions
  /** The heartbeat of each other member, and when it was last seen to change. */
  readonly #seen = new Map<MemberId, { readonly count: number; readonly at: number }>()
  readonly #gone = new Set<MemberId>()
  /** Ids that somebody asked for and that are not known: the store is asked about them. */
  readonly #unknown = new Set<MemberId>()
  readonly #watchers = new Set<() => void>()
  readonly #nextBeat: Alarm
  readonly #trustEnds: Alarm
  /** Counts the heartbeats that were sent; the last one that the store has confirmed; the last one that does not count. */
  #sent = 0
  #confirmed = 0
  #doubted = 0
  /** Former ids, which the others need not wait to count as dead. */
  #former: MemberId[] = []
  #joins = 0
  #id: MemberId
  #lost = new AbortController()
  #closed = false

  constructor(options: HeartbeatsOptions) {
    this.#options = options
    this.#id = `${options.name}.0`
    this.#nextBeat = new Alarm(options.clock)
    this.#trustEnds = new Alarm(options.clock)
    this.#lost.abort(new Error('The first heartbeat has not been sent yet.'))
  }

  get id(): MemberId {
    return this.#id
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** The process was stopped for a while: heartbeats that were sent before say nothing of the time since. */
  doubt(): void {
    this.#doubted = this.#sent
  }

  /** Whether the store has confirmed a heartbeat that was sent since the last doubt. */
  get isConfirmed(): boolean {
    return this.#confirmed > this.#doubted
  }

  isDead(id: MemberId): boolean {
    if (id === this.#id || this.#seen.has(id)) return false
    if (this.#gone.has(id)) return true
    this.#unknown.add(id)
    return false
  }

  watch(onChange: () => void): Disposable {
    this.#watchers.add(onChange)
    return { [Symbol.dispose]: () => void this.#watchers.delete(onChange) }
  }

  /** Sends the first heartbeat, and then one every BEAT ms. Resolves when the first one has been sent or has failed. */
  async start(): Promise<void> {
    await this.#beat().catch((error: Error) => this.#failed(error))
    if (this.#closed) return
    for (const watcher of this.#watchers) watcher()
    this.#removeSilent()
    this.#nextBeat.set(BEAT, () => void this.start())
  }

  /** Handles a change in the store. */
  news(key: string, value: Shared | undefined): void {
    if (key.startsWith(MEMBER)) this.#heard(key.slice(MEMBER.length), value as Heartbeat | undefined)
  }

  /** Deletes this member's heartbeat, so that the others need not wait until it counts as dead. The signal ends the wait. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true
    this.#nextBeat.stop()
    this.#lose()
    this.#watchers.clear()
    await this.#update(this.#id, () => undefined, signal).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const { clock, name } = this.#options
    const until = clock.now() + TRUSTED_FOR
    const sent = ++this.#sent
    if (!this.#lost.signal.aborted) {
      const stored = await this.#update(this.#id, (now) => now && { count: now.count + 1 })
      if (!stored) this.#lose()
      // A lost member returns at once: after a pause, requests wait for it.
      if (this.#lost.signal.aborted) return this.#beat()
      this.#confirmed = sent
      this.#dropFormer()
      return this.#trustUntil(until)
    }
    if (this.#closed) return
    const [former, id] = [this.#id, `${name}.${++this.#joins}`]
    await this.#update(id, () => ({ count: 1 }))
    if (this.#closed || clock.now() >= until) return
    this.#id = id
    this.#confirmed = sent
    // The notification of its first heartbeat may have come before this id was its own.
    this.#seen.delete(id)
    this.#lost = new AbortController()
    this.#trustUntil(until)
    if (this.#joins > 1) this.#former.push(former)
  }

  /** One heartbeat after the return: until then the others respect the shares of the former id, which are being renewed. */
  #dropFormer(): void {
    for (const id of this.#former.splice(0))
      this.#update(id, () => undefined).catch((error: Error) => this.#failed(error))
  }

  #trustUntil(time: number): void {
    this.#trustEnds.set(time - this.#options.clock.now(), () => this.#lose())
  }

  #lose(): void {
    this.#trustEnds.stop()
    if (this.#lost.signal.aborted) return
    this.#lost.abort(new Error('Other members may consider this one dead.'))
    for (const watcher of this.#watchers) watcher()
  }

  #heard(id: MemberId, heartbeat: Heartbeat | undefined): void {
    if (id === this.#id) {
      if (!heartbeat) this.#lose()
      return
    }
    if (heartbeat) {
      this.#seen.set(id, { count: heartbeat.count, at: this.#options.clock.now() })
      return
    }
    this.#seen.delete(id)
    this.#gone.add(id)
    for (const each of this.#gone) if (this.#gone.size > MAX_GONE) this.#gone.delete(each)
    for (const watcher of this.#watchers) watcher()
  }

  #removeSilent(): void {
    const now = this.#options.clock.now()
    for (const id of this.#unknown) this.#askAbout(id, undefined)
    this.#unknown.clear()
    for (const [id, { count, at }] of this.#seen) if (now - at >= DEAD_AFTER) this.#askAbout(id, count)
  }

  /** Reads a member's heartbeat, and removes it if it still has this count. */
  #askAbout(id: MemberId, count: number | undefined): void {
    this.#update(id, (now) => (now?.count === count ? undefined : now)).then(
      (stored) => this.#heard(id, stored),
      (error: Error) => this.#failed(error),
    )
  }

  #update(
    id: MemberId,
    change: (now: Heartbeat | undefined) => Heartbeat | undefined,
    signal?: AbortSignal,
  ): Promise<Heartbeat | undefined> {
    return this.#options.store.update<Heartbeat>(MEMBER + id, change, signal)
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#options.onError(error)
  }
}
