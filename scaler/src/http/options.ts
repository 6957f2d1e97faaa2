import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
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
   * Headers that only the embedder sets, such as a request id: neither the client nor the app can set or remove them. Names in
   * lower case. The function is called more than once per request.
   */
  readonly ownHeaders?: OwnHeaders
  /**
   * The peers whose X-Forwarded-* headers are trusted: IP addresses and CIDRs (`['127.0.0.1', '10.0.0.0/8', 'fd00::/8']`), or a
   * function of the peer's address. Default: none.
   */
  readonly trustProxy?: TrustProxy | readonly string[]
  /**
   * For endpoints that only this proxy can reach and whose server supports this option: a header prefix, in lower case, under
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
   * Writes the response to an upgrade request that failed before anything was written to the socket. Default: a response in JSON,
   * in the form of Fastify's own errors.
   */
  readonly refuseUpgrade?: (error: Error, request: IncomingMessage, socket: Duplex) => void
  /** Called for each request, except WebSockets, when it has got its lease and before it is sent. */
  readonly onLease?: (request: IncomingMessage, lease: Lease, key: TargetKey) => void
}
