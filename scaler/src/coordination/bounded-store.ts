import type { Clock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { Coordination, Shared } from './types.ts'

/** ms after which an update counts as failed. */
const UPDATE_TIMEOUT = 5_000
/** So many updates in a row must fail before the store counts as unavailable: a single answer may get lost. */
const FAILURES = 2

/** The store with a time limit for each update. An update rejects with an Error after the limit or when the signal aborts. */
export class BoundedStore {
  readonly #coordination: Coordination
  readonly #clock: Clock
  /** Updates in a row that failed, not counting those that were sent before the last one that succeeded. */
  #failures = 0
  #successes = 0

  constructor(coordination: Coordination, clock: Clock) {
    this.#coordination = coordination
    this.#clock = clock
  }

  /** Whether the store has answered none of the last updates. */
  get isSilent(): boolean {
    return this.#failures >= FAILURES
  }

  /** After a pause of the process, updates may fail only because their answers have not been handled in time. */
  excuse(): void {
    this.#failures = 0
    this.#successes++
  }

  async update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    const successes = this.#successes
    const limit = new AbortController()
    const timedOut = new Error(`The coordination did not answer within ${UPDATE_TIMEOUT / 1000} s.`)
    const end = (): void => limit.abort(timedOut)
    const cancel = this.#clock.schedule(UPDATE_TIMEOUT, end)
    signal?.addEventListener('abort', end)
    try {
      // The race ends the wait even if the store ignores the signal.
      const stored = await Promise.race([
        this.#coordination.update<T>(key, (now) => (limit.signal.aborted ? now : change(now)), {
          signal: limit.signal,
        }),
        new Promise<never>((_, reject) => {
          limit.signal.addEventListener('abort', () => reject(timedOut), { once: true })
        }),
      ])
      this.#failures = 0
      this.#successes++
      return stored
    } catch (error) {
      // A ScalerError comes from `change`.
      if (this.#successes === successes && !(error instanceof ScalerError)) this.#failures++
      throw error
    } finally {
      cancel()
      signal?.removeEventListener('abort', end)
    }
  }
}
