import type { Driver, TargetKey, TargetState } from '../types.ts'

interface Waiting {
  readonly key: TargetKey
  readonly holds: (state: TargetState) => boolean
  readonly resolve: (state: TargetState) => void
}

/** All reports of one watch of a driver, and a method to wait for further ones. */
export class News implements AsyncDisposable {
  readonly #states = new Map<TargetKey, TargetState[]>()
  readonly #waiting = new Set<Waiting>()
  #watch: AsyncDisposable | undefined

  static async of(driver: Driver): Promise<News> {
    const news = new News()
    news.#watch = await driver.watch((key, state) => news.#hear(key, state))
    return news
  }

  /** All reports on a target, oldest first. */
  of(key: TargetKey): readonly TargetState[] {
    return this.#states.get(key) ?? []
  }

  /** The ids that were ready in the last report. */
  ready(key: TargetKey): string[] {
    return (
      this.of(key)
        .at(-1)
        ?.ready.map(({ id }) => id) ?? []
    )
  }

  /** Resolves to the last state if `holds` is true for it, otherwise to the next such state. */
  until(key: TargetKey, holds: (state: TargetState) => boolean): Promise<TargetState> {
    const latest = this.of(key).at(-1)
    if (latest && holds(latest)) return Promise.resolve(latest)
    return new Promise((resolve) => this.#waiting.add({ key, holds, resolve }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]()
  }

  #hear(key: TargetKey, state: TargetState): void {
    this.#states.set(key, [...this.of(key), state])
    for (const waiting of [...this.#waiting]) {
      if (waiting.key !== key || !waiting.holds(state)) continue
      this.#waiting.delete(waiting)
      waiting.resolve(state)
    }
  }
}
