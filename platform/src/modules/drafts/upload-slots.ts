import { FpError } from '../../errors.ts'
import { FairPlaces, type PlaceLimits } from '../../front/fair-places.ts'

/** How many uploads may run at once. Each has up to one asset in memory (2 MB). */
const LIMITS: PlaceLimits = { perKey: 2, inAll: 16, withFirst: 32 }

/** Limits concurrent uploads. There is no queue: a waiting upload would keep its connection open as long as the slowest one. */
export function createUploadSlots(): { take(userId: string): Disposable } {
  const uploads = new FairPlaces(LIMITS)

  return {
    /** Throws FP_TOO_MANY_REQUESTS or FP_UNAVAILABLE. */
    take(userId) {
      const got = uploads.take(userId)
      if (typeof got === 'function') return { [Symbol.dispose]: got }
      if (got === 'perKey') {
        throw new FpError(
          'FP_TOO_MANY_REQUESTS',
          `You have ${LIMITS.perKey} uploads under way, and no more at once are allowed. Send this one when another has ended.`,
          { headers: { 'retry-after': '1' } },
        )
      }
      throw new FpError('FP_UNAVAILABLE', 'Too many uploads are under way. Try again in a few seconds.', {
        headers: { 'retry-after': '2' },
      })
    },
  }
}
