import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'
import { LOOPBACK } from '../network.ts'
import { Buckets, type Rate, type Taken } from './buckets.ts'
import { senderOf, type Client } from './client.ts'
import { RememberedSessions } from './remembered-sessions.ts'

/** The user or address that a request to the API is counted for. */
export interface Payer {
  readonly key: string
  readonly rate: Rate
  /** Completes the error message "Too many requests …". */
  readonly from: string
}

export interface ApiRates {
  /** The user, if the session has been seen before; otherwise the address. */
  payerOf(request: IncomingMessage): Payer
  /** Takes from the payer's bucket, and for a user also from the address's. Undefined: nothing is limited. */
  take(
    request: IncomingMessage,
    cost?: number,
    /** The user, where the session has been looked up. */
    userId?: string,
  ): (Taken & { readonly payer: Payer }) | undefined
  /** Records whose session this is. */
  remember(sessionId: string, userId: string): void
}

export interface ApiRateOptions {
  /** Average number of requests that one user may make per second. 0: nothing is limited. */
  readonly perSecond: number
  readonly trusts: TrustProxy
  /** The name of the session's cookie, where sessions are remembered. */
  readonly sessionCookie?: string
  readonly now?: () => number
}

/** How many seconds' worth of requests may be made at once: a page of the console is some hundred files. */
const BURST = 12
/** Rate of one address without a session, as a multiple of a user's rate; and that of this machine's own address. */
const STRANGERS = 0.5
const LOCAL_STRANGERS = 4
/** Rate of all users at one address together. Addresses that many people share have no such limit. */
const ADDRESS = 4

/**
 * Limits the rate at which one client may call the API, below what the API can process, so that no client slows down apps.
 * A session that was seen before has a bucket of its own. So clients that use up their address's tokens do not lock out users
 * there, above all not on this machine, where everybody has the same address.
 */
export function createApiRates({ perSecond, trusts, sessionCookie, now }: ApiRateOptions): ApiRates {
  const buckets = new Buckets(now)
  const share = (factor: number): Rate => ({
    perSecond: perSecond * factor,
    burst: perSecond * factor * BURST,
  })
  const rates = {
    user: share(1),
    stranger: share(STRANGERS),
    local: share(LOCAL_STRANGERS),
    address: share(ADDRESS),
  }
  const sessions = new RememberedSessions(sessionCookie)

  function payerOf(request: IncomingMessage, sender: Client, user = sessions.userOf(request.headers)): Payer {
    if (user !== undefined) return { key: `user ${user}`, rate: rates.user, from: 'from your account' }
    const rate = sender.key === LOOPBACK ? rates.local : rates.stranger
    return { key: `address ${sender.key}`, rate, from: 'without a session from this address' }
  }

  return {
    payerOf: (request) => payerOf(request, senderOf(request, trusts)),

    take(request, cost = 1, userId) {
      if (perSecond === 0) return undefined
      const sender = senderOf(request, trusts)
      const payer = payerOf(request, sender, userId)
      const taken = buckets.take(payer.key, payer.rate, cost)
      if (taken.wait > 0 || payer.rate !== rates.user || sender.shared) return { ...taken, payer }
      const all = buckets.take(`users at ${sender.key}`, rates.address, cost)
      return all.wait > 0 ? { ...all, payer: { ...payer, from: 'from this address' } } : { ...taken, payer }
    },

    remember: (sessionId, userId) => sessions.remember(sessionId, userId),
  }
}

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ */
export function rateHeaders({ rate, remaining, reset }: Taken): Record<string, string> {
  const window = Math.ceil(rate.burst / rate.perSecond)
  return {
    'ratelimit-policy': `"api";q=${Math.floor(rate.burst)};w=${window}`,
    ratelimit: `"api";r=${remaining};t=${reset}`,
  }
}
