import { FpError } from '../errors.ts'
import { FairPlaces, type PlaceLimits } from './fair-places.ts'

/** Limits for event streams: of one user or of one app's visitors, and of all together. */
const LIMITS: PlaceLimits = { perKey: 20, inAll: 500, withFirst: 1_000 }

/** Limits the number of open streams, as each one costs as long as it is open. */
export function createStreamLimit(limits = LIMITS): {
  /** Returns a function that releases the place. Throws FP_TOO_MANY_STREAMS. */
  open(key: string): () => void
} {
  const streams = new FairPlaces(limits)
  return {
    open(key) {
      const got = streams.take(key)
      if (typeof got === 'function') return got
      throw tooMany(
        got === 'perKey'
          ? `${limits.perKey} event streams of this user or app`
          : `${limits.inAll} event streams`,
      )
    },
  }
}

function tooMany(what: string): FpError {
  return new FpError(
    'FP_TOO_MANY_STREAMS',
    `${what} are open, and no more may be. Close one, or try again shortly.`,
    {
      headers: { 'retry-after': '5' },
    },
  )
}
