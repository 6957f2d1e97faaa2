import { FpError } from '../errors.ts'
import { Counters } from './counters.ts'

/** Limits for event streams: of one user or of one app's visitors, and of all together. */
const PER_KEY = 20
const IN_ALL = 500

/** Limits the number of open streams, as each one costs as long as it is open. */
export function createStreamLimit(limits = { perKey: PER_KEY, inAll: IN_ALL }): {
  /** Returns a function that releases the place. Throws FP_TOO_MANY_STREAMS. */
  open(key: string): () => void
} {
  const streams = new Counters()
  return {
    open(key) {
      const own = streams.take(`of ${key}`, limits.perKey)
      if (!own) throw tooMany(`${limits.perKey} event streams of this user or app`)
      const all = streams.take('all', limits.inAll)
      if (all) return () => (own(), all())
      own()
      throw tooMany(`${limits.inAll} event streams`)
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
