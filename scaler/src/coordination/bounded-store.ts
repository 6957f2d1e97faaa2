import type { Clock } from '../clock.ts'
import type { Coordination, Shared } from './types.ts'

/** ms after which an update counts as failed. */
const UPDATE_TIMEOUT = 5_000

/** The store with a time limit for each update. An update rejects with an Error after the limit or when the signal aborts. */
export class BoundedStore {
  readonly #coordination: Coordination
  readonly #clock: Clock

  constructor(coordination: Coordination, clock: Clock) {
    this.#coordination = coordination
    this.#clock = clock
  }

  async update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    const limit = new AbortController()
    const timedOut = new Error(`The coordination did not answer within ${UPDATE_TIMEOUT / 1000} s.`)
    const end = (): void => limit.abort(timedOut)
    const cancel = this.#clock.schedule(UPDATE_TIMEOUT, end)
    signal?.addEventListener('abort', end)
    try {
      // The race ends the wait even if the store ignores the signal.
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
