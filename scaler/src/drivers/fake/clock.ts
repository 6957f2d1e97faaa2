import type { Clock } from '../../clock.ts'

/** A clock whose time changes only when a test calls `advance`. */
export class FakeClock implements Clock {
  readonly #began: number
  #now = 0
  #sequence = 0
  readonly #timers = new Map<number, { at: number; fn: () => void }>()

  /** `began` is the time of day when the clock starts, in ms since 1970. */
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

  /** The number of timers that have not fired, to check for leaks. */
  get pending(): number {
    return this.#timers.size
  }

  /** Advances the time by `ms` and fires the due timers in order. Lets promises settle before, between and after. */
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

/** The clock of one process, on a clock that it shares with others: a test can stop the process, like SIGSTOP. */
export class ProcessClock implements Clock {
  readonly #clock: Clock
  #stopped = false
  readonly #due: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  wall(): number {
    return this.#clock.wall()
  }

  schedule(ms: number, fn: () => void): () => void {
    let cancelled = false
    const fire = (): void => {
      if (!cancelled) fn()
    }
    const cancel = this.#clock.schedule(ms, () => {
      if (this.#stopped) this.#due.push(fire)
      else fire()
    })
    return () => {
      cancelled = true
      cancel()
    }
  }

  /** From now on no timer fires, although the time goes on. */
  stop(): void {
    this.#stopped = true
  }

  /** Fires the timers that have become due. */
  continue(): void {
    this.#stopped = false
    for (const fire of this.#due.splice(0)) fire()
  }
}

/** Waits a few turns of the event loop, so that pending callbacks and promises can run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
