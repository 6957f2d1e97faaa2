export interface Rate {
  /** Tokens per second, on average. */
  readonly perSecond: number
  /** Tokens that can be taken at once. */
  readonly burst: number
}

/** The result of taking from a bucket. `wait`: seconds until it has enough; 0 if the tokens were taken. */
export interface Taken {
  readonly wait: number
  readonly rate: Rate
  readonly remaining: number
  /** Seconds until the bucket is full again. */
  readonly reset: number
}

/** With more buckets, the least recently used ones are removed: they are full or almost full. */
const MAX_BUCKETS = 10_000

/** Token buckets by key. They are in memory, so each replica counts for itself. */
export class Buckets {
  readonly #now: () => number
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  /** `now` in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Takes `cost` tokens if there are so many, otherwise none. A new bucket is full. */
  take(key: string, rate: Rate, cost = 1): Taken {
    const time = this.#now()
    const bucket = this.#buckets.get(key) ?? { tokens: rate.burst, at: time }
    // Moved to the end, so that the first of the map is the least recently used one.
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value!)
    bucket.tokens = Math.min(rate.burst, bucket.tokens + ((time - bucket.at) / 1000) * rate.perSecond)
    bucket.at = time
    const missing = cost - bucket.tokens
    if (missing <= 0) bucket.tokens -= cost
    return {
      wait: missing > 0 ? Math.ceil(missing / rate.perSecond) : 0,
      rate,
      remaining: Math.floor(bucket.tokens),
      reset: Math.ceil((rate.burst - bucket.tokens) / rate.perSecond),
    }
  }
}
