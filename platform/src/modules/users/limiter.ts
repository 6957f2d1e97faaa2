import { createHash } from 'node:crypto'
import { FpError } from '../../errors.ts'
import { network } from '../../network.ts'
import type { AttemptStore } from './attempt-store.ts'

const MINUTE = 60_000

/** Failed log-ins; a successful one is taken back. */
const LOGIN_WINDOW = 15 * MINUTE
const LOGINS_PER_NAME = 20
const LOGINS_PER_ADDRESS = 60
const SIGNUP_WINDOW = 60 * MINUTE

export interface Limiter {
  /** Counts a log-in before its work begins. Rejects with FP_TOO_MANY_REQUESTS; `succeeded` takes the attempt back. */
  login(name: string, address: string): Promise<{ succeeded(): Promise<void> }>
  signup(address: string): Promise<void>
}

export function createLimiter(deps: { attempts: AttemptStore; signupsPerHour: number }): Limiter {
  const { attempts } = deps
  async function take(key: string, window: number, limit: number, what: string): Promise<void> {
    const { count, resetsAt } = await attempts.count(key, window)
    if (count <= limit) return
    const seconds = Math.max(1, Math.ceil((resetsAt.getTime() - Date.now()) / 1000))
    throw new FpError('FP_TOO_MANY_REQUESTS', `Too many ${what}. Try again in ${inWords(seconds)}.`, {
      headers: { 'retry-after': String(seconds) },
    })
  }
  return {
    async login(name, address) {
      const keys = [`login:address:${network(address)}`, `login:name:${digest(name.toLowerCase())}`] as const
      await take(keys[0], LOGIN_WINDOW, LOGINS_PER_ADDRESS, 'failed log-ins from this address')
      await take(keys[1], LOGIN_WINDOW, LOGINS_PER_NAME, 'failed log-ins with this name')
      return {
        async succeeded() {
          await Promise.all(keys.map((key) => attempts.refund(key)))
        },
      }
    },
    signup: (address) =>
      take(
        `signup:address:${network(address)}`,
        SIGNUP_WINDOW,
        deps.signupsPerHour,
        'new accounts from this address',
      ),
  }
}

/** Names come from strangers: of any length, and none of the database's business. */
function digest(name: string): string {
  return createHash('sha256').update(name).digest('base64url')
}

function inWords(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  return seconds < 60 ? `${seconds} s` : `${minutes} minute${minutes === 1 ? '' : 's'}`
}
