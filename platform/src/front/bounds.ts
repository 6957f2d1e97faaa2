import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TrustProxy } from '@fp/scaler/http'
import { statusOf, type ErrorCode } from '../errors.ts'
import { peerOf, senderOf } from './client.ts'
import { Connections } from './connections.ts'
import { Counters } from './counters.ts'
import { rateHeaders, type ApiRates } from './rates.ts'

export interface BoundLimits {
  readonly connections: number
  /** Connections, and requests under way, of one address. 0: no limit. */
  readonly perAddress: number
  /** Requests and WebSockets of one app. 0: no limit. */
  readonly perApp: number
}

/** Requests to the API under way, of a user or of an address without a session. */
const PER_API_CLIENT = 100
/** One address gets this part of what an app takes at once: nobody fills its queue alone. */
const SHARE_OF_APP = 4
/** Unanswered requests on one connection. Browsers send one at a time. */
const PIPELINED = 16
/**
 * Whoever asks too much waits so long for the refusal, ms: a client that sends the next request as soon as the last one is
 * refused would else keep the event loop busy with refusals.
 */
const REFUSAL_DELAY = 1_000

/** Why a request is not taken. */
export interface Refusal {
  readonly status: number
  readonly code: ErrorCode
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
  /** ms to wait before it is said. */
  readonly delay: number
}

export type Admission =
  /** To be called when the request has been answered. */
  | { readonly end: () => void; readonly headers: Readonly<Record<string, string>> }
  | { readonly end: () => void; readonly refusal: Refusal }
  /** The connection is not worth an answer. */
  | undefined

export interface BoundsDeps {
  readonly limits: BoundLimits
  readonly rates: ApiRates
  readonly trusts: TrustProxy
}

export interface Bounds {
  /** False: the connection is to be closed. */
  accept(socket: Socket): boolean
  /** `app` is undefined for the API and the console. */
  admit(request: IncomingMessage, app: string | undefined): Admission
}

/** What the front door takes of connections and requests: bounded by address, by app and by user, and in all. */
export function createBounds({ limits, rates, trusts }: BoundsDeps): Bounds {
  const connections = new Connections({ perAddress: limits.perAddress, total: limits.connections })
  const requests = new Counters()

  /** What gives all the places back, or the refusal. */
  function places(request: IncomingMessage, app: string | undefined): (() => void) | Refusal {
    const sender = senderOf(request, trusts)
    const address = requests.take(`address ${sender.key}`, sender.shared ? 0 : limits.perAddress)
    if (!address) return tooManyAtOnce('from this address', limits.perAddress)
    if (app === undefined) {
      const payer = rates.payerOf(request)
      const place = requests.take(`api ${payer.key}`, PER_API_CLIENT)
      if (place) return () => (address(), place())
      address()
      return tooManyAtOnce(payer.from, PER_API_CLIENT)
    }
    const most = sender.shared ? 0 : Math.ceil(limits.perApp / SHARE_OF_APP)
    const place = requests.take(`app ${app}`, limits.perApp)
    const share = place && requests.take(`app ${app} ${sender.key}`, most)
    if (share) return () => (address(), place(), share())
    address()
    place?.()
    return place ? tooManyAtOnce('from this address to this app', most) : appIsFull(limits.perApp)
  }

  /** One at a time on a connection: whoever sends more before it has heard is not told again. */
  function refused(socket: Socket, refusal: Refusal): Admission {
    if (connections.requestsOf(socket) > 0) return undefined
    return { end: connections.begin(socket, () => undefined), refusal }
  }

  return {
    accept(socket) {
      return connections.accept(socket, peerOf(socket.remoteAddress ?? '', trusts))
    },

    admit(request, app) {
      const { socket } = request
      if (connections.requestsOf(socket) >= PIPELINED) return undefined
      const got = places(request, app)
      if (typeof got !== 'function') return refused(socket, got)
      const taken = app === undefined ? rates.take(request) : undefined
      const headers = taken && request.url?.startsWith('/api/') ? rateHeaders(taken) : {}
      if (!taken || taken.wait === 0) return { end: connections.begin(socket, got), headers }
      got()
      return refused(socket, tooFast(taken.payer.from, taken.wait, headers))
    },
  }
}

function refusal(
  code: ErrorCode,
  message: string,
  headers: Record<string, string>,
  delay = REFUSAL_DELAY,
): Refusal {
  return { status: statusOf(code), code, message, headers, delay }
}

function tooFast(from: string, wait: number, headers: Record<string, string>): Refusal {
  const message = `Too many requests ${from}. Wait ${wait} s, then send them more slowly.`
  return refusal('FP_TOO_MANY_REQUESTS', message, { 'retry-after': String(wait), ...headers })
}

function tooManyAtOnce(from: string, most: number): Refusal {
  const message = `${most} requests ${from} are under way, and no more are taken at once. Wait for their answers first.`
  return refusal('FP_TOO_MANY_REQUESTS', message, { 'retry-after': '1' })
}

function appIsFull(most: number): Refusal {
  const message = `${most} requests to this app are under way, and no more are taken at once. Try again shortly.`
  return refusal('FP_QUEUE_FULL', message, { 'retry-after': '1' }, 0)
}
