import PQueue from 'p-queue'
import type { Clock } from './clock.ts'

/** Many targets that become idle at once are scaled down this many at a time. */
const CONCURRENT = 8
/** How long one call may keep others waiting, in ms. */
const LIMIT = 30_000

/** Limits how many calls to scale to zero run at once, to protect the driver. */
export class ScaleDowns {
  readonly #queue = new PQueue({ concurrency: CONCURRENT })
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Makes the call in its turn, and resolves or rejects like the call. If the call does not settle within 30 s, its signal aborts
   * and the next call has its turn: a target whose driver call hangs must not block the others.
   */
  run<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      void this.#queue.add(() => this.#take(call, resolve))
    })
  }

  #take<T>(call: (signal: AbortSignal) => Promise<T>, begun: (result: Promise<T>) => void): Promise<void> {
    const late = new AbortController()
    return new Promise((next) => {
      const cancel = this.#clock.schedule(LIMIT, () => {
        late.abort(new Error(`The driver did not answer the call to scale to zero within ${LIMIT / 1000} s.`))
        next()
      })
      const result = (async () => call(late.signal))()
      begun(result)
      const settled = (): void => (cancel(), next())
      result.then(settled, settled)
    })
  }
}
