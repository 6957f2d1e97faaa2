/** How many leases of one target are out, and who waits until none is. */
export class LeaseBook {
  readonly #onNone: () => void
  readonly #waiting = new Set<() => void>()
  #count = 0

  /** `onNone` is called each time the last lease has come back. */
  constructor(onNone: () => void) {
    this.#onNone = onNone
  }

  get count(): number {
    return this.#count
  }

  /** In the instant of the grant: a sleep, a retirement or a close in the same turn sees the lease. */
  take(): void {
    this.#count++
  }

  give(): void {
    this.#count--
    if (this.#count > 0) return
    for (const done of [...this.#waiting]) done()
    this.#onNone()
  }

  /** Resolves once no lease is out, or the signal fires. */
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
