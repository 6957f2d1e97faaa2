import { FpError } from '../errors.ts'
import { BODY_LIMITS } from './body-limits.ts'

const MB = 1024 * 1024
/** Limit for the announced bytes of one user's bodies. */
const OF_ONE_USER = 8 * MB
/** Limit for the bytes of all users that have arrived. */
const OF_ALL = 64 * MB
/** The same for a user who has no more than one body here, so that a few with many bodies lock nobody out. */
const OF_ALL_WITH_FIRST = 96 * MB

/** The place of one body that is being received or parsed. */
export interface BodyPlace {
  /** Counts bytes that have arrived. Throws FP_UNAVAILABLE if there is no room for them. */
  add(bytes: number): void
  release(): void
}

/**
 * Limits the memory for bodies that are being received or parsed. What a body announces counts for its own user only. For all
 * users the bytes that have arrived count: otherwise idle connections that announce much would take all the room.
 */
export class BodyRoom {
  readonly #users = new Map<string, { announced: number; arrived: number }>()
  #all = 0

  /** Throws FP_UNAVAILABLE if the user has too many bodies under way. */
  open(userId: string, announced: number): BodyPlace {
    const user = this.#users.get(userId) ?? { announced: 0, arrived: 0 }
    if (user.announced + announced > OF_ONE_USER) throw full('You are')
    this.#users.set(userId, user)
    user.announced += announced
    let arrived = 0
    return {
      add: (bytes) => {
        const most = user.arrived + bytes <= BODY_LIMITS.files ? OF_ALL_WITH_FIRST : OF_ALL
        if (this.#all + bytes > most) throw full('Others are')
        arrived += bytes
        user.arrived += bytes
        this.#all += bytes
      },
      release: () => {
        this.#all -= arrived
        user.arrived -= arrived
        user.announced -= announced
        if (user.announced === 0) this.#users.delete(userId)
      },
    }
  }
}

function full(who: string): FpError {
  return new FpError(
    'FP_UNAVAILABLE',
    `${who} sending so many large requests at once that there is no room for this one. Send it again in a second.`,
    { headers: { 'retry-after': '1' } },
  )
}
