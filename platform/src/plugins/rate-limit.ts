import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { network } from '../network.ts'

export interface RateLimitOptions {
  /** Requests to the API that one address may make a second, over time. */
  readonly perSecond: number
  /** And at once. */
  readonly burst: number
  readonly now?: () => number
}

export const API_RATE: RateLimitOptions = { perSecond: 200, burst: 1_000 }

/** Beyond this many addresses those that were quiet longest are forgotten. */
const MAX_ADDRESSES = 10_000

/**
 * Bounds what one address asks of the API, before a session is looked up: a token bucket each. In memory, so each replica
 * counts for itself; guessing passwords has its own, shared limits.
 */
export const rateLimitPlugin = fp(
  async (app: FastifyInstance, options: RateLimitOptions) => {
    const now = options.now ?? (() => performance.now())
    const buckets = new Map<string, { tokens: number; at: number }>()

    /** Seconds to wait, 0 for go ahead. */
    function take(key: string): number {
      const time = now()
      const bucket = buckets.get(key) ?? { tokens: options.burst, at: time }
      // Moved to the end: the first of the map is the one that was quiet longest.
      buckets.delete(key)
      buckets.set(key, bucket)
      bucket.tokens = Math.min(options.burst, bucket.tokens + ((time - bucket.at) / 1000) * options.perSecond)
      bucket.at = time
      if (buckets.size > MAX_ADDRESSES) buckets.delete(buckets.keys().next().value!)
      if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / options.perSecond)
      bucket.tokens -= 1
      return 0
    }

    app.addHook('onRequest', async (request) => {
      if (!request.url.startsWith('/api/')) return
      const wait = take(network(request.ip))
      if (wait === 0) return
      throw new FpError(
        'FP_TOO_MANY_REQUESTS',
        'Too many requests from this address. Send them more slowly.',
        {
          headers: { 'retry-after': String(wait) },
        },
      )
    })
  },
  { name: 'rate-limit' },
)
