import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Activator, Lease, TargetKey } from '../types.ts'
import type { TrustProxy } from './origin.ts'
import type { OwnHeaders } from './request-headers.ts'
import type { ResolveTarget } from './session.ts'
import type { LoadingPage, WakePolicy } from './wake.ts'

/**
 * Times in ms. What bounds a client is the server's own, given to `Fastify()`: `http.headersTimeout` (until the head of a
 * request has come; Node's default is a minute), `requestTimeout` (until its body has come; Fastify's default is never,
 * and it bounds uploads), `http.maxHeaderSize` (request line and headers; Node's default of 16 KB answers 431; apps may answer heads of 64 KB),
 * `keepAliveTimeout` (until the next request on a connection). Time that a request is held counts for its
 * `requestTimeout` where its body has yet to come.
 */
export interface ScalerProxyOptions {
  readonly activator: Activator
  readonly resolve: ResolveTarget
  /**
   * What is done with a request whose target is not awake: the first that has an opinion decides. Without one it is held
   * until the target is awake. Upgrades (WebSockets) are asked for too, but only a `reject` counts: they are no documents.
   */
  readonly wakePolicies?: readonly WakePolicy[]
  /** Sent where a policy decides `page`. Without it, such a request is held. */
  readonly loadingPage?: LoadingPage
  /** The header of every answer that says what was done: see `WakeMark`. Default `x-scaler-wake`. */
  readonly wakeHeader?: string
  /**
   * Headers that are yours alone, such as an id of the request: neither the client nor the app can set or remove them. Names
   * in lower case. Asked for more than once a request.
   */
  readonly ownHeaders?: OwnHeaders
  /** Whose X-Forwarded-* headers are believed. Default: nobody's. */
  readonly trustProxy?: TrustProxy
  /**
   * For endpoints that only this proxy reaches, and whose server knows of it: a prefix under which they get what else is
   * lost on the way. `<prefix>-host`, `<prefix>-connection`, `<prefix>-content-length` and so on are the client's headers of
   * these names, in their place; `<prefix>` is `<address> <port> <scheme> <host> <port of the host> <HTTP version>` of the
   * client. A client's own headers of such names get the prefix once more. In lower case. Default: none; what holds for one
   * connection is dropped.
   */
  readonly clientPrefix?: string
  /** Until the head of the app's answer, from when it has the request, its body included. Default 5 minutes. */
  readonly responseTimeout?: number
  /**
   * How long an upload, or an answer that has begun, may stand still before it is cut off, whichever side is to blame.
   * Default 0: for ever, as streams may be silent. Cut uploads and answers end in a broken connection, for want of a status.
   */
  readonly idleBodyTimeout?: number
  /**
   * Methods that are proxied; others are not found. Default: all that Node's parser knows save TRACE, which shows a client
   * what proxies add. Never CONNECT, which asks for a tunnel to anywhere.
   */
  readonly httpMethods?: readonly string[]
  /** Measures `loadingPage.after`. Default: the system's. */
  readonly clock?: Clock
  /** Writes the answer to an upgrade request that failed before anything was written. */
  readonly refuseUpgrade: (error: Error, request: IncomingMessage, socket: Duplex) => void
  /** Told of each request that has its lease, WebSockets aside, before it is sent. */
  readonly onLease?: (request: IncomingMessage, lease: Lease, key: TargetKey) => void
}
