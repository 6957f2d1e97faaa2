import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TrustProxy } from '@fp/scaler/http'
import { statusOf, type ErrorCode } from '../errors.ts'
import { ApiPlaces, PER_API_CLIENT } from './api-places.ts'
import { peerOf, senderOf } from './client.ts'
import { Connections } from './connections.ts'
import { Counters } from './counters.ts'
import { rateHeaders, type ApiRates } from './rates.ts'

export interface BoundLimits {
  readonly connections: number
  /** Connections of one address, and also its concurrent requests. 0: no limit. */
  readonly perAddress: number
  /** Concurrent requests and WebSockets of one app. 0: no limit. */
  readonly perApp: number
}

/** One address gets at most one in this many of an app's concurrent requests, so that it cannot fill the queue alone. */
const SHARE_OF_APP = 4
/** Unanswered requests on one connection. Browsers send one at a time. */
const PIPELINED = 16
/**
 * A client with too many requests waits this long for the refusal, in ms. Otherwise a client that sends the next request as
 * soon as the last one is refused would keep the event loop busy with refusals.
 */
const REFUSAL_DELAY = 1_000

/** Why a request is refused. */
export interface Refusal {
  readonly status: number
  readonly code: ErrorCode
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
  /** ms to wait before the refusal is sent. */
  readonly delay: number
}

export type Admission =
  /** Call `end` when the request was answered. */
  | { readonly end: () => void; readonly headers: Readonly<Record<string, string>> }
  | { readonly end: () => void; readonly refusal: Refusal }
  /** The connection is closed without an answer. */
  | undefined

export interface BoundsDeps {
  readonly limits: BoundLimits
  readonly rates: ApiRates
  readonly trusts: TrustProxy
}

export interface Bounds {
  /** False: the connection must be closed. */
  accept(socket: Socket): boolean
  /** `app` is undefined for the API and the console. `answer` is the connection if the request is an upgrade. */
  admit(request: IncomingMessage, app: string | undefined, answer: ServerResponse | Duplex): Admission
}

/** Limits the connections and requests at the front door: by address, by app, by user, and in total. */
export function createBounds({ limits, rates, trusts }: BoundsDeps): Bounds {
  const connections = new Connections({ perAddress: limits.perAddress, total: limits.connections })
  const requests = new Counters()
  const toApi = new ApiPlaces()

  /** Takes all places that the request needs. Returns a function that releases them, or the refusal. */
  function places(...[request, app, answer]: Parameters<Bounds['admit']>): (() => void) | Refusal {
    const sender = senderOf(request, trusts)
    const address = requests.take(`address ${sender.key}`, sender.shared ? 0 : limits.perAddress)
    if (!address) return tooManyAtOnce('from this address', limits.perAddress)
    if (app === undefined) {
      const payer = rates.payerOf(request)
      const place = toApi.take(payer.key, request, answer)
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

  /** Sends one refusal at a time on a connection. If another request is under way there, the connection is closed. */
  function refused(socket: Socket, refusal: Refusal): Admission {
    if (connections.requestsOf(socket) > 0) return undefined
    return { end: connections.begin(socket, () => undefined), refusal }
  }

  return {
    accept(socket) {
      return connections.accept(socket, peerOf(socket.remoteAddress ?? '', trusts))
    },

    admit(request, app, answer) {
      const { socket } = request
      if (connections.requestsOf(socket) >= PIPELINED) return undefined
      // Before the places: a client that is too fast must not end others' requests.
      const taken = app === undefined ? rates.take(request) : undefined
      const headers = taken && request.url?.startsWith('/api/') ? rateHeaders(taken) : {}
      if (taken && taken.wait > 0) return refused(socket, tooFast(taken.payer.from, taken.wait, headers))
      const got = places(request, app, answer)
      if (typeof got !== 'function') return refused(socket, got)
      return { end: connections.begin(socket, got), headers }
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
