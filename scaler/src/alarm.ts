import type { Clock } from './clock.ts'

/** A timer that can be set again: at most one is pending at a time. */
export class Alarm {
  readonly #clock: Clock
  #cancel: (() => void) | undefined
  #due = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get armed(): boolean {
    return this.#cancel !== undefined
  }

  /** The time at which the timer fires, if it is armed, as in the clock's `now`. */
  get due(): number {
    return this.#due
  }

  /** Calls `fn` after `ms`. Cancels the pending timer. */
  set(ms: number, fn: () => void): void {
    this.stop()
    this.#due = this.#clock.now() + ms
    this.#cancel = this.#clock.schedule(ms, () => {
      this.#cancel = undefined
      fn()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
