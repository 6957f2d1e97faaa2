import { FpError } from '../../errors.ts'

/** How many uploads may run at once: of one user, and of all. Each has up to one asset in memory. */
export const UPLOADS_PER_USER = 2
export const UPLOADS_IN_ALL = 16

/** Limits concurrent uploads. There is no queue: a waiting upload would keep its connection open as long as the slowest one. */
export function createUploadSlots(): { take(userId: string): Disposable } {
  const taken = new Map<string, number>()
  let all = 0

  return {
    /** Throws FP_TOO_MANY_REQUESTS or FP_UNAVAILABLE. */
    take(userId) {
      const mine = taken.get(userId) ?? 0
      if (mine >= UPLOADS_PER_USER) {
        throw new FpError(
          'FP_TOO_MANY_REQUESTS',
          `You have ${mine} uploads under way; at most ${UPLOADS_PER_USER} at once are allowed. Send this one when another has ended.`,
          { headers: { 'retry-after': '1' } },
        )
      }
      if (all >= UPLOADS_IN_ALL) {
        throw new FpError('FP_UNAVAILABLE', 'Too many uploads are under way. Try again in a few seconds.', {
          headers: { 'retry-after': '2' },
        })
      }
      taken.set(userId, mine + 1)
      all++
      return {
        [Symbol.dispose]() {
          const left = taken.get(userId)! - 1
          if (left === 0) taken.delete(userId)
          else taken.set(userId, left)
          all--
        },
      }
    },
  }
}
