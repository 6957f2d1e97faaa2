import { createHash } from 'node:crypto'
import { FpError } from '../../errors.ts'
import { network } from '../../network.ts'
import type { Attempts, Backoff } from '../attempts/types.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const LOGIN_WINDOW = 15 * MINUTE
/** Wrong passwords for one name from one address: five at once, then a second's wait, then two, four … a quarter of an hour. */
const WRONG_PASSWORDS: Backoff = { free: 5, first: SECOND, longest: 15 * MINUTE, forgottenAfter: HOUR }
/** Failed log-ins of one address, whatever the names. */
const FAILURES_PER_ADDRESS = 60
/** Log-ins of one address, successful ones too: each costs a hash. */
const LOGINS_PER_ADDRESS = 300
/** Failed log-ins with one name, of all addresses from which nobody has logged in with it. */
const FAILURES_PER_NAME = 20
/** An address is known for a name this long after a log-in. */
const KNOWN_FOR = 90 * DAY
const SIGNUP_WINDOW = HOUR
/** Sign-ups of one address that were refused, so that it could learn that a name or an e-mail address is taken. */
const TAKEN_PER_ADDRESS = 30

export interface Attempt {
  /** Removes the failure from the counts, and records the address as known for these names of the user. */
  succeeded(names: readonly string[]): Promise<void>
}

/** Each method counts an attempt as a failure before its work begins, or rejects with FP_TOO_MANY_REQUESTS. */
export interface Limiter {
  login(name: string, address: string): Promise<Attempt>
  signup(address: string): Promise<Attempt>
}

/**
 * Slows down guessing. Attempts count for the address they come from. There is also a limit for a name as a whole, against
 * guesses from many addresses. It does not apply to addresses that the user has logged in from, so nobody can lock a user
 * out there.
 */
export function createLimiter(deps: { attempts: Attempts; signupsPerHour: number }): Limiter {
  const { attempts } = deps

  async function take(key: string, window: number, limit: number, what: string): Promise<void> {
    const { count, resetsAt } = await attempts.count(key, window)
    if (count > limit) throw tooMany(what, resetsAt)
  }

  function know(names: readonly string[], from: string): Promise<unknown> {
    return Promise.all(names.map((name) => attempts.remember(`known:${digest(name)}:${from}`, KNOWN_FOR)))
  }

  return {
    async login(name, address) {
      const from = network(address)
      const named = digest(name)
      const pairKey = `login:pair:${named}:${from}`
      const addressKey = `login:address:${from}`
      const nameKey = `login:name:${named}`
      const { admitted, retryAt } = await attempts.admit(pairKey, WRONG_PASSWORDS)
      if (!admitted) throw tooMany('wrong passwords for this name from this address', retryAt)
      await take(`login:all:${from}`, LOGIN_WINDOW, LOGINS_PER_ADDRESS, 'log-ins from this address')
      await take(addressKey, LOGIN_WINDOW, FAILURES_PER_ADDRESS, 'failed log-ins from this address')
      const known = await attempts.remembers(`known:${named}:${from}`)
      if (!known) await take(nameKey, LOGIN_WINDOW, FAILURES_PER_NAME, 'failed log-ins with this name')
      return {
        async succeeded(names) {
          await Promise.all([
            attempts.forget(pairKey),
            attempts.refund(addressKey),
            !known && attempts.refund(nameKey),
            know(names, from),
          ])
        },
      }
    },

    async signup(address) {
      const from = network(address)
      const takenKey = `signup:taken:${from}`
      await take(
        `signup:address:${from}`,
        SIGNUP_WINDOW,
        deps.signupsPerHour,
        'new accounts from this address',
      )
      await take(takenKey, SIGNUP_WINDOW, TAKEN_PER_ADDRESS, 'sign-ups with names that are taken')
      return {
        async succeeded(names) {
          await Promise.all([attempts.refund(takenKey), know(names, from)])
        },
      }
    },
  }
}

function tooMany(what: string, until: Date): FpError {
  const seconds = Math.max(1, Math.ceil((until.getTime() - Date.now()) / 1000))
  return new FpError('FP_TOO_MANY_REQUESTS', `Too many ${what}. Try again in ${inWords(seconds)}.`, {
    headers: { 'retry-after': String(seconds) },
  })
}

/** Hashes a name, as anybody can send one, of any length, and it need not be stored as it is. Case is ignored. */
function digest(name: string): string {
  return createHash('sha256').update(name.toLowerCase()).digest('base64url')
}

function inWords(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  return seconds < 60 ? `${seconds} s` : `${minutes} minute${minutes === 1 ? '' : 's'}`
}
