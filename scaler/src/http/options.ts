import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { MAX_DELAY, type Clock } from '../clock.ts'
import type { Activator, Lease, TargetKey } from '../types.ts'
import type { ExchangeHooks } from './exchange-record.ts'
import type { ExchangeLimits, LimitsOf } from './limits.ts'
import type { TrustProxy } from './origin.ts'
import type { OwnHeaders } from './request-headers.ts'
import type { ResolveTarget } from './session.ts'
import type { LoadingPage, WakePolicy } from './wake.ts'

/**
 * Times in ms. The limits for clients are options of the server, given to `Fastify()`: `http.headersTimeout` (until the head of
 * a request has arrived; Node's default is a minute), `requestTimeout` (until its body has arrived, so it limits uploads;
 * Fastify's default is no limit), `http.maxHeaderSize` (request line and headers; larger ones get 431; Node's default is 16 KB,
 * while response heads of apps may have 64 KB), `keepAliveTimeout` (until the next request on a connection). The time that a
 * request is held counts towards its `requestTimeout` if its body has not arrived completely.
 */
export interface ScalerProxyOptions extends Partial<ExchangeLimits>, ExchangeHooks {
  readonly activator: Activator
  readonly resolve: ResolveTarget
  /**
   * Decide what happens to a request whose target is not awake. The first policy that returns a decision applies; without a
   * decision the request is held until the target is awake. Policies are also called for upgrades (WebSockets), but only
   * `reject` has an effect there, because an upgrade request cannot get a document.
   */
  readonly wakePolicies?: readonly WakePolicy[]
  /** The page that is sent if a policy decides `page`. Without it, such a request is held. */
  readonly loadingPage?: LoadingPage
  /** The name of the response header that says how the request was handled: see `WakeMark`. Default `x-scaler-wake`. */
  readonly wakeHeader?: string
  /**
   * Headers that only the embedder sets, such as a request id: neither the client nor the app can set or remove them. Called once
   * per request, after the hooks of the Fastify instance.
   */
  readonly ownHeaders?: OwnHeaders
  /**
   * The peers whose X-Forwarded-* headers are trusted: IP addresses and CIDRs (`['127.0.0.1', '10.0.0.0/8', 'fd00::/8']`), or a
   * function of the peer's address. Default: none.
   */
  readonly trustProxy?: TrustProxy | readonly string[]
  /**
   * For endpoints that only this proxy can reach and whose server supports this option: a header prefix under
   * which they get the client's connection data that a proxy normally drops. `<prefix>-host`, `<prefix>-connection`,
   * `<prefix>-content-length` and so on contain the client's headers of these names; `<prefix>` contains
   * `<address> <port> <scheme> <host> <port of the host> <HTTP version>` of the client. If the client itself sends headers with
   * the prefix, they get the prefix once more. Default: none; headers that apply to one connection only are dropped.
   */
  readonly clientPrefix?: string
  /**
   * The limits of a request that differ from the general ones: for its target, or for the request itself. Called once for each
   * lookup of a target. Must be fast.
   */
  readonly limits?: LimitsOf
  /**
   * The methods that are proxied; others get 404. Default: all methods of Node's parser except TRACE, which reveals the headers
   * that proxies add, and CONNECT, which opens a tunnel to any host.
   */
  readonly httpMethods?: readonly string[]
  /** The clock for `loadingPage.after`, `requestTimeout` and `onExchange`. Default: the system clock. */
  readonly clock?: Clock
  /**
   * How long open requests and WebSockets may go on after the Fastify instance began to close, in ms; 0 = not at all. Connections
   * without a request are closed at once. Default 10 s.
   */
  readonly closeGrace?: number
  /** Called for each request, except WebSockets, when it has got its lease and before it is sent. */
  readonly onLease?: (request: IncomingMessage, lease: Lease, key: TargetKey) => void
}

const FUNCTIONS = ['resolve', 'ownHeaders', 'limits', 'onLease', 'onRequest', 'onExchange'] as const

/** Throws an error that names the option that is wrong. `limitsOf` and `trustOf` check theirs. */
export function checkOptions(fastify: FastifyInstance, options: ScalerProxyOptions): void {
  const must = (name: string, isValid: boolean, what: string): void => {
    if (!isValid) throw new TypeError(`scalerProxy: ${name} must be ${what}.`)
  }
  const { activator, wakePolicies = [], loadingPage: page, closeGrace = 0, httpMethods = [] } = options
  must(
    'the Fastify instance',
    !fastify.initialConfig.http2,
    'one without http2; put another proxy in front of it',
  )
  must(
    'activator',
    typeof (activator as Activator | undefined)?.acquire === 'function',
    'an activator of createActivator',
  )
  must(
    'resolve',
    typeof (options.resolve as unknown) === 'function',
    'a function that returns the target of a request',
  )
  for (const name of FUNCTIONS)
    must(name, options[name] === undefined || typeof options[name] === 'function', 'a function')
  must('wakePolicies', isListOf('function', wakePolicies), 'a list of functions')
  must('httpMethods', isListOf('string', httpMethods), 'a list of methods')
  must(
    'loadingPage',
    !page || (isTime(page.after) && typeof page.send === 'function'),
    '{ after: ms, send: function }',
  )
  must('closeGrace', isTime(closeGrace), `from 0 to ${MAX_DELAY} ms`)
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= MAX_DELAY
}

function isListOf(type: 'function' | 'string', list: unknown): boolean {
  return Array.isArray(list) && list.every((item) => typeof item === type)
}
