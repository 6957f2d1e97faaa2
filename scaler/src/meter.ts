import type { Clock } from './clock.ts'

/** The width of one bucket in ms. */
const BUCKET = 1_000
const SECOND = 1_000

/**
 * Measures the load of one target over the last seconds: the time-weighted average number of requests (`set`), or the requests per
 * second (`arrived`). A meter measures one of them. Knative has both metrics.
 */
export class LoadMeter {
  readonly #clock: Clock
  /** Requests × ms in each bucket of the last seconds; a ring buffer. */
  readonly #areas: number[]
  readonly #began: number
  #at: number
  #count = 0

  /** `span` is the longest window in ms for which `average` can be called. */
  constructor(clock: Clock, span: number) {
    this.#clock = clock
    this.#areas = new Array<number>(Math.ceil(span / BUCKET) + 1).fill(0)
    this.#began = this.#at = clock.now()
  }

  /** Sets the current number of requests. */
  set(count: number): void {
    this.#advance()
    this.#count = count
  }

  /** Counts one request. */
  arrived(): void {
    this.#advance()
    // As much as one request that lasts for a second.
    this.#areas[this.#slot(this.#at)]! += SECOND
  }

  /** The average over the last `window` ms, or since the meter was created if that is shorter. */
  average(window: number): number {
    this.#advance()
    const span = Math.min(window, this.#at - this.#began)
    if (span <= 0) return this.#count
    let area = 0
    for (let begin = this.#bucketStart(this.#at); begin + BUCKET > this.#at - span; begin -= BUCKET) {
      // The fraction of the bucket that lies within the window; less than 1 only for the oldest bucket.
      const inside = Math.min(1, (begin + BUCKET - (this.#at - span)) / BUCKET)
      area += (this.#areas[this.#slot(begin)] ?? 0) * inside
    }
    return area / span
  }

  #advance(): void {
    const now = this.#clock.now()
    const oldest = now - this.#areas.length * BUCKET
    if (this.#at < oldest) {
      this.#areas.fill(0)
      this.#at = oldest
    }
    while (this.#at < now) {
      const next = this.#bucketStart(this.#at) + BUCKET
      const until = Math.min(next, now)
      this.#areas[this.#slot(this.#at)]! += this.#count * (until - this.#at)
      this.#at = until
      if (until === next) this.#areas[this.#slot(next)] = 0
    }
  }

  #bucketStart(at: number): number {
    return Math.floor(at / BUCKET) * BUCKET
  }

  #slot(at: number): number {
    return Math.floor(at / BUCKET) % this.#areas.length
  }
}
