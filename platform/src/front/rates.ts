import { hash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'
import { LOOPBACK } from '../network.ts'
import { Buckets, type Rate, type Taken } from './buckets.ts'
import { senderOf, type Client } from './client.ts'

/** Who pays for a request to the API. */
export interface Payer {
  readonly key: string
  readonly rate: Rate
  /** In the words of an error: "Too many requests …". */
  readonly from: string
}

export interface ApiRates {
  /** The user whose session has been seen before; else the address. */
  payerOf(request: IncomingMessage): Payer
  /** Takes from the payer's bucket, and where a user pays, from the address's too. Undefined: nothing is limited. */
  take(request: IncomingMessage, cost?: number): (Taken & { readonly payer: Payer }) | undefined
  /** The credential of this request is a session of that user. */
  remember(request: IncomingMessage, userId: string): void
}

export interface ApiRateOptions {
  /** Requests that one user may make a second, over time. 0: nothing is limited. */
  readonly perSecond: number
  readonly trusts: TrustProxy
  readonly now?: () => number
}

/** Seconds' worth of requests that may be made at once: a page of the console is some hundred files. */
const BURST = 12
/** What strangers at one address get, in shares of what a user gets; and all of this machine's own together. */
const STRANGERS = 0.5
const LOCAL_STRANGERS = 4
/** What all users at one address get together, on this machine's own as many as there are. */
const ADDRESS = 4

/** Sessions that are remembered; and longer credentials are none of ours. */
const MAX_SESSIONS = 10_000
const MAX_CREDENTIAL = 4_096

/**
 * What one client may ask of the API, below what the API can do, so that nobody slows apps by asking for more. A session that
 * was seen before pays for itself, so that strangers who use up what their address has lock no user out, least of
 * all on this machine, where everybody has the same address.
 */
export function createApiRates({ perSecond, trusts, now }: ApiRateOptions): ApiRates {
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
  /** Hash of a credential → whose it is; never a reason to let anybody in. */
  const sessions = new Map<string, string>()

  function userOf(request: IncomingMessage): string | undefined {
    const credential = credentialOf(request.headers)
    if (credential === undefined) return undefined
    const id = hash('sha256', credential, 'base64')
    const user = sessions.get(id)
    if (user !== undefined) keep(id, user)
    return user
  }

  /** The first of the map is the one that was quiet longest. */
  function keep(id: string, user: string): void {
    sessions.delete(id)
    sessions.set(id, user)
    if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value!)
  }

  function payerOf(request: IncomingMessage, sender: Client): Payer {
    const user = userOf(request)
    if (user !== undefined) return { key: `user ${user}`, rate: rates.user, from: 'from your account' }
    const rate = sender.key === LOOPBACK ? rates.local : rates.stranger
    return { key: `address ${sender.key}`, rate, from: 'without a session from this address' }
  }

  return {
    payerOf: (request) => payerOf(request, senderOf(request, trusts)),

    take(request, cost = 1) {
      if (perSecond === 0) return undefined
      const sender = senderOf(request, trusts)
      const payer = payerOf(request, sender)
      const taken = buckets.take(payer.key, payer.rate, cost)
      if (taken.wait > 0 || payer.rate !== rates.user || sender.shared) return { ...taken, payer }
      const all = buckets.take(`users at ${sender.key}`, rates.address, cost)
      return all.wait > 0 ? { ...all, payer: { ...payer, from: 'from this address' } } : { ...taken, payer }
    },

    remember(request, userId) {
      const credential = credentialOf(request.headers)
      if (credential !== undefined) keep(hash('sha256', credential, 'base64'), userId)
    },
  }
}

/** As it was sent, cookies and all: the same client sends the same again. */
function credentialOf({ authorization, cookie }: IncomingHttpHeaders): string | undefined {
  const credential = authorization ?? cookie
  return credential !== undefined && credential.length <= MAX_CREDENTIAL ? credential : undefined
}

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ */
export function rateHeaders({ rate, remaining, reset }: Taken): Record<string, string> {
  const window = Math.ceil(rate.burst / rate.perSecond)
  return {
    'ratelimit-policy': `"api";q=${Math.floor(rate.burst)};w=${window}`,
    ratelimit: `"api";r=${remaining};t=${reset}`,
  }
}
