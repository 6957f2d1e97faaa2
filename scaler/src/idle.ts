import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'

/**
 * Measures how long a target has not been used. A timer that is set stays as it is while requests come and go, and looks
 * again when it fires: most requests set none.
 */
export class IdleClock {
  readonly #clock: Clock
  readonly #timeout: () => number
  readonly #alarm: Alarm
  readonly #onIdle: () => void
  #since = 0

  /** `timeout` in ms, asked each time. `onIdle` is called when nothing has been heard of use for so long. */
  constructor(clock: Clock, timeout: () => number, onIdle: () => void) {
    this.#clock = clock
    this.#timeout = timeout
    this.#alarm = new Alarm(clock)
    this.#onIdle = onIdle
  }

  /** When it was last found unused. */
  get since(): number {
    return this.#since
  }

  /** It is used no more from now on. */
  restart(): void {
    this.#since = this.#clock.now()
  }

  /** To be called when it is not in use; one that is then used may stay armed. */
  arm(): void {
    const due = this.#since + this.#timeout()
    if (this.#alarm.armed && this.#alarm.due <= due) return
    this.#alarm.set(Math.max(0, due - this.#clock.now()), () => this.#fired())
  }

  stop(): void {
    this.#alarm.stop()
  }

  #fired(): void {
    if (this.#clock.now() < this.#since + this.#timeout()) this.arm()
    else this.#onIdle()
  }
}
