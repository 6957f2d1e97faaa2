import type { Clock } from '../../clock.ts'

/** A clock that stands still until told otherwise. */
export class FakeClock implements Clock {
  readonly #began: number
  #now = 0
  #sequence = 0
  readonly #timers = new Map<number, { at: number; fn: () => void }>()

  /** `began` is the time of day at its start, in ms since 1970. */
  constructor(began = 0) {
    this.#began = began
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#began + this.#now
  }

  schedule(ms: number, fn: () => void): () => void {
    const id = ++this.#sequence
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), fn })
    return () => void this.#timers.delete(id)
  }

  /** Timers that have not fired: a leak check. */
  get pending(): number {
    return this.#timers.size
  }

  /** Moves time on and fires what falls due, in order, letting promises settle before, between and after. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.at <= end)
        .sort(([a, x], [b, y]) => x.at - y.at || a - b)[0]
      if (!due) break
      const [id, timer] = due
      this.#timers.delete(id)
      this.#now = timer.at
      timer.fn()
      await settle()
    }
    this.#now = end
    await settle()
  }
}

/** Lets everything that is ready to run, run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
