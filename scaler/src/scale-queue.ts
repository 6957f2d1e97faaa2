/** The scale calls of one target never overlap: each waits for the one before. */
export class ScaleQueue {
  readonly #onSettled: () => void
  #last: Promise<void> = Promise.resolve()
  #open = 0

  /** `onSettled` is called after each call, however it ended. */
  constructor(onSettled: () => void) {
    this.#onSettled = onSettled
  }

  /** Calls that have not settled. */
  get open(): number {
    return this.#open
  }

  run(scale: () => Promise<void>): Promise<void> {
    this.#open++
    const result = this.#last.then(scale).finally(() => {
      this.#open--
      this.#onSettled()
    })
    this.#last = result.catch(() => undefined)
    return result
  }
}
