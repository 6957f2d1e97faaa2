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

  /** Calls `fn` after `ms`, or as soon as possible if that time is over. Cancels the pending timer. */
  set(ms: number, fn: () => void): void {
    this.stop()
    const delay = Math.max(0, ms)
    this.#due = this.#clock.now() + delay
    this.#cancel = this.#clock.schedule(delay, () => {
      this.#cancel = undefined
      fn()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
