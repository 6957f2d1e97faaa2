export interface Rate {
  /** Tokens a second, over time. */
  readonly perSecond: number
  /** And at once. */
  readonly burst: number
}

/** What taking from a bucket has come to. Seconds until there is enough; 0 where it was taken. */
export interface Taken {
  readonly wait: number
  readonly rate: Rate
  readonly remaining: number
  /** Seconds until the bucket is full again. */
  readonly reset: number
}

/** Beyond this many, those that were quiet longest are forgotten: they are full, or nearly so. */
const MAX_BUCKETS = 10_000

/** Token buckets by key. In memory: each replica counts for itself. */
export class Buckets {
  readonly #now: () => number
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  /** `now` in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Takes `cost` tokens if there are so many, else none. A bucket begins full. */
  take(key: string, rate: Rate, cost = 1): Taken {
    const time = this.#now()
    const bucket = this.#buckets.get(key) ?? { tokens: rate.burst, at: time }
    // Moved to the end: the first of the map is the one that was quiet longest.
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
