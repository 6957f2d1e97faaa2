import type { Clock } from '../../clock.ts'
import { createMemoryCoordination } from '../../coordination/memory.ts'
import type { Coordination, Shared } from '../../coordination/types.ts'
import type { Members } from '../../coordination/members.ts'
import { FakeMembers } from './members.ts'

/** A store that several activators of a test share, each by a connection that can be slow and can break. */
export class FakeCoordination {
  readonly #store = createMemoryCoordination()
  readonly #clock: Clock
  /** When each member was last heard of. */
  readonly #heard = new Map<string, number>()
  #connected = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A connection for one activator. With `members` the embedder says who lives. */
  connect({ members = false } = {}): FakeConnection {
    const connection = new FakeConnection(this.#store, this.#clock)
    const name = `process-${this.#connected++}`
    if (members)
      connection.members = new FakeMembers(name, this.#heard, this.#clock, (work, signal) =>
        connection.ask(async () => work(), signal),
      )
    return connection
  }
}

/** One activator's way to the store. */
export class FakeConnection implements Coordination {
  /** Where the embedder says who lives; closed, it ends as its process does. */
  members?: Members & Disposable
  /** ms until an update reaches the store, until its answer comes back, and until news arrive; asked for each. */
  latency: () => number = () => 0
  /** The store takes an update but its answer is lost, as when a connection breaks in between; asked for each. */
  loses: () => boolean = () => false
  #partitioned = false
  readonly #store: Coordination
  readonly #clock: Clock
  /** What waits for the partition to end. */
  #held: (() => void)[] = []
  #newsDue = 0

  constructor(store: Coordination, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  get partitioned(): boolean {
    return this.#partitioned
  }

  /** Nothing passes any more, in either direction: updates wait, until they give up, and news too. */
  partition(): void {
    this.#partitioned = true
  }

  /** News that waited come in their order. */
  heal(): void {
    this.#partitioned = false
    for (const pass of this.#held.splice(0)) pass()
  }

  async update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    options: { signal: AbortSignal },
  ): Promise<T | undefined> {
    return this.ask(() => this.#store.update(key, change, options), options.signal)
  }

  /** Asks the store: there and back. */
  async ask<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#delay(this.latency())
    await this.#passage(signal)
    const result = await work()
    if (this.loses()) await new Promise<never>((_, reject) => whenAborted(signal, reject))
    await this.#delay(this.latency())
    await this.#passage(signal)
    return result
  }

  watch(onChange: (key: string, value: Shared | undefined) => void): Promise<AsyncDisposable> {
    return this.#store.watch((key, value) => {
      // Never sooner than the news before it.
      this.#newsDue = Math.max(this.#newsDue, this.#clock.now() + this.latency())
      const delay = this.#newsDue - this.#clock.now()
      if (delay === 0) this.#whenPassable(() => onChange(key, value))
      else this.#clock.schedule(delay, () => this.#whenPassable(() => onChange(key, value)))
    })
  }

  #whenPassable(pass: () => void): void {
    if (this.#partitioned) this.#held.push(pass)
    else pass()
  }

  #passage(signal: AbortSignal): Promise<void> {
    if (!this.#partitioned) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#held.push(resolve)
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
