import type { Clock } from '../../clock.ts'
import { createMemoryCoordination } from '../../coordination/memory.ts'
import type { Coordination, Shared } from '../../coordination/types.ts'
import type { Members } from '../../coordination/members.ts'
import { FakeMembers } from './members.ts'

/** A store that several activators of a test share, each through a connection that can be slow or break. */
export class FakeCoordination {
  readonly #store = createMemoryCoordination()
  readonly #clock: Clock
  /** The time of each member's last heartbeat. */
  readonly #lastBeats = new Map<string, number>()
  #connected = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Opens a connection for one activator. With `members`, the (fake) embedder tracks which processes are alive. `clock`: that of
   * the activator's process, if it has its own.
   */
  connect({ members = false, clock = this.#clock } = {}): FakeConnection {
    const connection = new FakeConnection(this.#store, this.#clock)
    const name = `process-${this.#connected++}`
    if (members)
      connection.members = new FakeMembers(name, this.#lastBeats, clock, (work, signal) =>
        connection.ask(async () => work(), signal),
      )
    return connection
  }
}

/** Updates on their way to the store, their results on the way back, and notifications. */
export type Direction = 'writes' | 'answers' | 'notifications'
const DIRECTIONS: readonly Direction[] = ['writes', 'answers', 'notifications']

/** The connection of one activator to the store. */
export class FakeConnection implements Coordination {
  /** Set if the embedder tracks which processes are alive. Disposing it simulates the end of its process. */
  members?: Members & Disposable
  /** Returns the ms until an update reaches the store, until its result returns, or until a notification arrives. */
  latency: () => number = () => 0
  /** Called for each update. If true, the store executes the update but its result is lost, as when a connection breaks. */
  loses: () => boolean = () => false
  /** The number of updates in a row that got no answer. */
  unanswered = 0
  readonly #broken = new Set<Direction>()
  readonly #store: Coordination
  readonly #clock: Clock
  /** Callbacks for the end of the partition. */
  #held: { readonly direction: Direction; readonly pass: () => void }[] = []
  #newsDue = 0

  constructor(store: Coordination, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /**
   * Interrupts the connection: these directions, or all. Updates wait until they time out, before or after they reach the store;
   * notifications wait.
   */
  partition(...directions: Direction[]): void {
    for (const each of directions.length > 0 ? directions : DIRECTIONS) this.#broken.add(each)
  }

  /** Restores the connection: these directions, or all. Waiting notifications arrive in their order. */
  heal(...directions: Direction[]): void {
    for (const each of directions.length > 0 ? directions : DIRECTIONS) this.#broken.delete(each)
    const free = this.#held.filter(({ direction }) => !this.#broken.has(direction))
    this.#held = this.#held.filter(({ direction }) => this.#broken.has(direction))
    for (const { pass } of free) pass()
  }

  async update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    options: { signal: AbortSignal },
  ): Promise<T | undefined> {
    return this.ask(() => this.#store.update(key, change, options), options.signal)
  }

  /** Executes `work` at the store, with latency and interruptions in both directions. */
  async ask<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    this.unanswered++
    await this.#delay(this.latency())
    await this.#passage('writes', signal)
    const result = await work()
    if (this.loses()) await new Promise<never>((_, reject) => whenAborted(signal, reject))
    await this.#delay(this.latency())
    await this.#passage('answers', signal)
    this.unanswered = 0
    return result
  }

  watch(onChange: (key: string, value: Shared | undefined) => void): Promise<AsyncDisposable> {
    return this.#store.watch((key, value) => {
      // A notification never overtakes an earlier one.
      this.#newsDue = Math.max(this.#newsDue, this.#clock.now() + this.latency())
      const delay = this.#newsDue - this.#clock.now()
      if (delay === 0) this.#whenPassable(() => onChange(key, value))
      else this.#clock.schedule(delay, () => this.#whenPassable(() => onChange(key, value)))
    })
  }

  #whenPassable(pass: () => void): void {
    if (this.#broken.has('notifications')) this.#held.push({ direction: 'notifications', pass })
    else pass()
  }

  #passage(direction: Direction, signal: AbortSignal): Promise<void> {
    if (!this.#broken.has(direction)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#held.push({ direction, pass: resolve })
      whenAborted(signal, reject)
    })
  }

  #delay(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve()
    return new Promise((resolve) => void this.#clock.schedule(ms, resolve))
  }
}

function whenAborted(signal: AbortSignal, reject: (reason: Error) => void): void {
  if (signal.aborted) reject(signal.reason as Error)
  else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
}
