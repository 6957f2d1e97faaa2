import PQueue from 'p-queue'
import type { Clock } from './clock.ts'

/** Many targets that become idle at once are scaled down this many at a time. */
const CONCURRENT = 8
/** How long one call may take until its signal aborts, in ms. */
const LIMIT = 30_000

/** Limits the calls of the driver that no wake limits: how long each takes, and how many calls to scale to zero run at once. */
export class DriverCalls {
  readonly #queue = new PQueue({ concurrency: CONCURRENT })
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves or rejects like the call. If the call does not settle within 30 s, its signal aborts and `late` is called. */
  run<T>(call: (signal: AbortSignal) => Promise<T>, late: () => void = () => undefined): Promise<T> {
    const limit = new AbortController()
    const cancel = this.#clock.schedule(LIMIT, () => {
      limit.abort(new Error(`The driver did not answer the call to scale within ${LIMIT / 1000} s.`))
      late()
    })
    const result = (async () => call(limit.signal))()
    result.then(cancel, cancel)
    return result
  }

  /**
   * Makes the call in its turn. After its limit, the next call has its turn: a target whose driver call hangs must not block
   * the others.
   */
  inTurn<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      const turn = (): Promise<void> =>
        new Promise((next) => {
          const result = this.run(call, next)
          resolve(result)
          result.then(
            () => next(),
            () => next(),
          )
        })
      void this.#queue.add(turn)
    })
  }
}
