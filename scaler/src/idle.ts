import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'

/**
 * Measures how long a target has been unused. A pending timer is not changed by requests; when it fires, it checks whether the
 * target was used in the meantime. So most requests do not set a timer.
 */
export class IdleClock {
  readonly #clock: Clock
  readonly #timeout: () => number
  readonly #alarm: Alarm
  readonly #onIdle: () => void
  #since = 0

  /** `timeout` returns ms and is called each time. `onIdle` is called when the target has been unused for that long. */
  constructor(clock: Clock, timeout: () => number, onIdle: () => void) {
    this.#clock = clock
    this.#timeout = timeout
    this.#alarm = new Alarm(clock)
    this.#onIdle = onIdle
  }

  /** When the target was last used, in ms of the clock. */
  get since(): number {
    return this.#since
  }

  /** The target is unused from now on. */
  restart(): void {
    this.#since = this.#clock.now()
  }

  /** Sets the timer. Must be called when the target is unused. The timer may stay set when the target is used again. */
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
