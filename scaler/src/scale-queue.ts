/** Runs the scale calls of one target one after the other, so that they never overlap. */
export class ScaleQueue {
  readonly #onSettled: () => void
  #last: Promise<void> = Promise.resolve()
  #open = 0

  /** `onSettled` is called after each call, whether it succeeded or failed. */
  constructor(onSettled: () => void) {
    this.#onSettled = onSettled
  }

  /** The number of calls that have not settled. */
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
