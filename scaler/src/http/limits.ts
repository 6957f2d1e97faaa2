import type { IncomingMessage } from 'node:http'
import { MAX_DELAY } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { TargetKey } from '../types.ts'

/** The time limits of one exchange in ms. 0 = no limit. */
export interface ExchangeLimits {
  /**
   * How long the request may wait for a free place at an awake target (SCALER_QUEUE_TIMEOUT). Default: the `queueTimeout` of the
   * target's policy.
   */
  readonly queueTimeout?: number
  /**
   * The time from the end of the request, including its body, until the head of the app's response (SCALER_UPSTREAM_TIMEOUT).
   * Default 5 minutes.
   */
  readonly responseTimeout: number
  /**
   * The total: from the lookup of the target until the end of the response, with all waiting (SCALER_REQUEST_TIMEOUT). Of a
   * WebSocket: until it is open. A response that has begun is broken off. Default: no limit.
   */
  readonly requestTimeout: number
  /**
   * How long an upload, or a response that has begun, may make no progress before it is aborted, whichever side causes it
   * (SCALER_BODY_TIMEOUT). Default: no limit, because streams may be silent. An abort breaks the connection, as no status can be
   * sent any more.
   */
  readonly idleBodyTimeout: number
  /**
   * How long a connection to an endpoint is kept without a request; 0 = not at all. Must be shorter than the time after which the
   * app's server closes idle connections. If the app states a time in a `Keep-Alive` header, the connection is closed one second
   * before that. Default 4 s: uvicorn closes after 5 s. The same for all requests to one endpoint: the first one decides.
   */
  readonly upstreamKeepAlive: number
}

/** The limits of a request that differ from the general ones. */
export type LimitsOf = (key: TargetKey, request: IncomingMessage) => Partial<ExchangeLimits>

const DEFAULT_LIMITS: ExchangeLimits = {
  responseTimeout: 300_000,
  requestTimeout: 0,
  idleBodyTimeout: 0,
  upstreamKeepAlive: 4_000,
}

/** The limits of each request: those of `limits`, then of `general`, then the defaults. */
export function limitsOf(
  general: Partial<ExchangeLimits>,
  limits: LimitsOf | undefined,
): (key: TargetKey, request: IncomingMessage) => ExchangeLimits {
  const shared = over(DEFAULT_LIMITS, general)
  return limits ? (key, request) => over(shared, limits(key, request)) : () => shared
}

/** Throws a RangeError that names the limit that is wrong. */
function over(base: ExchangeLimits, own: Partial<ExchangeLimits>): ExchangeLimits {
  const { queueTimeout = base.queueTimeout } = own
  const limits = {
    responseTimeout: own.responseTimeout ?? base.responseTimeout,
    requestTimeout: own.requestTimeout ?? base.requestTimeout,
    idleBodyTimeout: own.idleBodyTimeout ?? base.idleBodyTimeout,
    upstreamKeepAlive: own.upstreamKeepAlive ?? base.upstreamKeepAlive,
    ...(queueTimeout === undefined ? {} : { queueTimeout }),
  }
  for (const [name, value] of Object.entries(limits))
    if (!(value >= 0 && value <= MAX_DELAY))
      throw new RangeError(`${name} must be from 0 to ${MAX_DELAY} ms, but is ${value}.`)
  return limits
}

/** The error for an exchange that was not over within `limit` ms. */
export function requestTimedOut(limit: number): ScalerError {
  return new ScalerError('SCALER_REQUEST_TIMEOUT', `The request was not answered within ${limit / 1000} s.`)
}
