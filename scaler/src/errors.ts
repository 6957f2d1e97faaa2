import type { QueueFull } from './fair-queue.ts'
import type { Failure } from './types.ts'

/** All error codes of the library, and the HTTP status of each. The codes are stable. */
export const SCALER_STATUS = {
  /** The request is ambiguous: the proxy and an app might interpret it differently. */
  SCALER_BAD_REQUEST: 400,
  SCALER_QUEUE_FULL: 503,
  /** The target was awake, but no place became free within `queueTimeout`. */
  SCALER_QUEUE_TIMEOUT: 503,
  /**
   * Too many wakes are waiting, in one group or in total. A driver may reject `scale` with this code to refuse a wake; that does
   * not count as a failure of the target.
   */
  SCALER_WAKES_FULL: 503,
  SCALER_AWAKE_FULL: 503,
  SCALER_CLOSED: 503,
  SCALER_RETIRED: 503,
  /** A wake policy refused to wake the target for this request. */
  SCALER_ASLEEP: 503,
  /** This activator has lost the connection to the other activators, and must not act alone. */
  SCALER_CUT_OFF: 503,
  /** A newer version of the library manages this target. */
  SCALER_OUTDATED: 503,
  SCALER_WAKE_TIMEOUT: 504,
  SCALER_TARGET_FAILED: 502,
  /** The endpoint closed the connection before it sent a response. */
  SCALER_UPSTREAM_RESET: 502,
  SCALER_UPSTREAM_REFUSED: 502,
  /** The endpoint's response is not valid HTTP. */
  SCALER_UPSTREAM_INVALID: 502,
  /** The endpoint's response headers exceed the limit of what is forwarded. */
  SCALER_UPSTREAM_HEAD_TOO_LARGE: 502,
  SCALER_UPSTREAM_TIMEOUT: 504,
  /** The exchange, with its waiting, took longer than `requestTimeout`. */
  SCALER_REQUEST_TIMEOUT: 504,
  /** A body made no progress for `idleBodyTimeout`. The connection is broken: no status can be sent. */
  SCALER_BODY_TIMEOUT: 504,
} as const

/** The codes are stable: programs can rely on them. */
export type ScalerErrorCode = keyof typeof SCALER_STATUS

/** Every error with which the library refuses a request. `statusCode` is the HTTP status of the code. */
export class ScalerError extends Error {
  override readonly name = 'ScalerError'
  readonly code: ScalerErrorCode
  /** The failure that the driver reported, for SCALER_TARGET_FAILED. For logs: it may contain output of the app. */
  readonly failure: Failure | undefined
  /** Seconds after which a retry may succeed, for status 503. */
  readonly retryAfter: number | undefined

  constructor(
    code: ScalerErrorCode,
    message: string,
    options: { failure?: Failure; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.failure = options.failure
    this.retryAfter = options.retryAfter
  }

  get statusCode(): number {
    return SCALER_STATUS[this.code]
  }

  /** Response headers: `Retry-After` if a retry may succeed. */
  get headers(): Record<string, string> {
    return this.retryAfter === undefined ? {} : { 'retry-after': String(Math.max(1, this.retryAfter)) }
  }
}

export function retired(): ScalerError {
  return new ScalerError('SCALER_RETIRED', 'This target has been replaced or removed.', { retryAfter: 0 })
}

export function activatorClosed(): ScalerError {
  return new ScalerError('SCALER_CLOSED', 'The activator is shutting down. Try again shortly.', {
    retryAfter: 1,
  })
}

/** SCALER_QUEUE_TIMEOUT: no place became free within `limit` ms. */
export function queueTimedOut(limit: number): ScalerError {
  const message = `The target was busy: no place for this request became free within ${limit / 1000} s. Try again shortly.`
  return new ScalerError('SCALER_QUEUE_TIMEOUT', message, { retryAfter: 1 })
}

export function outdated(): ScalerError {
  const message = 'A newer version of @fp/scaler manages this target. Update this server.'
  return new ScalerError('SCALER_OUTDATED', message, { retryAfter: 1 })
}

export function cutOff(): ScalerError {
  const message = 'This server cannot reach the other servers. Try again shortly.'
  return new ScalerError('SCALER_CUT_OFF', message, { retryAfter: 1 })
}

const AWAKE_LIMITS = {
  AWAKE_GROUP: (most: number) => `As many targets of its group are awake as may be (${most})`,
  AWAKE_ALL: (most: number) => `As many targets are awake as may be (${most})`,
  AWAKE_PRESSURE: () => 'The awake targets use all that they may',
}

/** SCALER_AWAKE_FULL: nothing can be put to sleep for a wake. The failure's code says which limit was reached. */
export function awakeFull(code: keyof typeof AWAKE_LIMITS, most = 0): ScalerError {
  const message = `${AWAKE_LIMITS[code](most)}, and each of them is in use. Try again in some seconds.`
  return new ScalerError('SCALER_AWAKE_FULL', message, { failure: { code, message }, retryAfter: 5 })
}

/** `cause` states which limit was reached. Without groups, all targets are one. */
export function wakesFull(cause: QueueFull, hasGroups: boolean): ScalerError {
  const whose = hasGroups && cause.limit === 'key' ? ' of its group' : ''
  const message = `Too many targets${whose} are waiting to be woken (limit ${cause.most}). Try again shortly.`
  return new ScalerError('SCALER_WAKES_FULL', message, { retryAfter: 2, cause })
}

/** SCALER_WAKES_FULL: the wake waited for its turn for `limit` ms. */
export function wakeNotBegun(limit: number): ScalerError {
  const message = `The wake of this target did not begin within ${limit / 1000} s, because other wakes were queued before it. Try again shortly.`
  return new ScalerError('SCALER_WAKES_FULL', message, { retryAfter: 2 })
}

/** SCALER_WAKE_TIMEOUT: the target was not ready within `limit` ms. */
export function wakeTimedOut(limit: number): ScalerError {
  return new ScalerError('SCALER_WAKE_TIMEOUT', `The target was not ready within ${limit / 1000} s.`)
}

/** The message is for clients. The driver's may contain output of the app, paths and names of commands: it is in `failure`. */
export function targetFailed(failure: Failure): ScalerError {
  return new ScalerError('SCALER_TARGET_FAILED', 'The target could not start.', { failure })
}
