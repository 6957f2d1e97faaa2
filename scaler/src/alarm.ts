import type { Clock } from './clock.ts'

/** At most one timer at a time. */
export class Alarm {
  readonly #clock: Clock
  #cancel: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get armed(): boolean {
    return this.#cancel !== undefined
  }

  /** Takes the place of what was set before. */
  set(ms: number, fn: () => void): void {
    this.stop()
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
