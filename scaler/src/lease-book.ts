/** Counts the leases of one target that are held, and resolves promises when no lease is held any more. */
export class LeaseBook {
  readonly #onNone: () => void
  readonly #waiting = new Set<() => void>()
  #count = 0

  /** `onNone` is called each time the last held lease is released. */
  constructor(onNone: () => void) {
    this.#onNone = onNone
  }

  get count(): number {
    return this.#count
  }

  /** Called synchronously when a lease is granted, so that a sleep, retire or close in the same tick counts the lease. */
  take(): void {
    this.#count++
  }

  give(): void {
    this.#count--
    if (this.#count > 0) return
    for (const done of [...this.#waiting]) done()
    this.#onNone()
  }

  /** Resolves when no lease is held, or when the signal aborts. */
  none(signal?: AbortSignal): Promise<void> {
    if (this.#count === 0 || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }
}
