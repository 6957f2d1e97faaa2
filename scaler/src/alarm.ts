import type { Clock } from './clock.ts'

/** At most one timer at a time. */
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

  /** When it fires, if it is armed; on the clock's `now`. */
  get due(): number {
    return this.#due
  }

  /** Takes the place of what was set before. */
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
