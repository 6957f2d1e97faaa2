/** Counts running work by key, each key up to a limit. */
export class Counters {
  readonly #counts = new Map<string, number>()

  /** Returns a function that releases the place, or undefined if the key has `most` already. `most` 0: no limit. */
  take(key: string, most: number): (() => void) | undefined {
    const count = this.#counts.get(key) ?? 0
    if (most > 0 && count >= most) return undefined
    this.#counts.set(key, count + 1)
    return () => {
      const left = this.#counts.get(key)! - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }

  count(key: string): number {
    return this.#counts.get(key) ?? 0
  }
}
