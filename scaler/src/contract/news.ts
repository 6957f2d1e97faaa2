import type { Driver, TargetKey, TargetState } from '../types.ts'
import { STEP_TIMEOUT, within } from './within.ts'

interface Waiting {
  readonly key: TargetKey
  readonly holds: (state: TargetState) => boolean
  readonly resolve: (state: TargetState) => void
}

/** All reports of one watch of a driver, and a method to wait for further ones. */
export class News implements AsyncDisposable {
  readonly #states = new Map<TargetKey, TargetState[]>()
  readonly #waiting = new Set<Waiting>()
  readonly #limit: number
  #watch: AsyncDisposable | undefined

  private constructor(limit: number) {
    this.#limit = limit
  }

  /** `limit`: how many ms `until` waits. */
  static async of(driver: Driver, limit = STEP_TIMEOUT): Promise<News> {
    const news = new News(limit)
    const watch = driver.watch((key, state) => news.#hear(key, state))
    news.#watch = await within(limit, 'driver.watch resolves', watch)
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

  /**
   * Resolves to the last state if `holds` is true for it, otherwise to the next such state. `step` says what should be reported, for
   * the error if it is not.
   */
  until(key: TargetKey, holds: (state: TargetState) => boolean, step = 'a state'): Promise<TargetState> {
    const latest = this.of(key).at(-1)
    if (latest && holds(latest)) return Promise.resolve(latest)
    const heard = new Promise<TargetState>((resolve) => this.#waiting.add({ key, holds, resolve }))
    return within(this.#limit, `the driver reports ${step} of the target ${key}`, heard, () =>
      this.#last(key),
    )
  }

  #last(key: TargetKey): string {
    const state = this.of(key).at(-1)
    if (!state) return ' It has reported nothing of this target.'
    const ids = state.ready.map(({ id }) => id).join(', ') || 'no endpoint'
    const failure = state.failure ? `, and the failure ${state.failure.code}: ${state.failure.message}` : ''
    return ` Its last report: ${ids} ready${failure}.`
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
