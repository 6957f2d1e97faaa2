import type { QueueFull } from './fair-queue.ts'
import type { Failure } from './types.ts'

/** Stable codes and the HTTP status each maps to. The only place that knows. */
export const SCALER_STATUS = {
  /** A request that the front and an app might understand differently. */
  SCALER_BAD_REQUEST: 400,
  SCALER_QUEUE_FULL: 503,
  /**
   * Too many targets wait to be woken, of one group or in all. A driver that rejects with this code refuses to begin a wake
   * without a failure of the target.
   */
  SCALER_WAKES_FULL: 503,
  SCALER_CLOSED: 503,
  SCALER_RETIRED: 503,
  /** A wake policy refused to wake the target for this request. */
  SCALER_ASLEEP: 503,
  /** One of several activators has lost the connection to the others, and must not act alone. */
  SCALER_CUT_OFF: 503,
  SCALER_WAKE_TIMEOUT: 504,
  SCALER_TARGET_FAILED: 502,
  /** The endpoint closed the connection before it answered. */
  SCALER_UPSTREAM_RESET: 502,
  SCALER_UPSTREAM_REFUSED: 502,
  /** What the endpoint answered is not HTTP. */
  SCALER_UPSTREAM_INVALID: 502,
  /** The endpoint answered with more headers than are forwarded. */
  SCALER_UPSTREAM_HEAD_TOO_LARGE: 502,
  SCALER_UPSTREAM_TIMEOUT: 504,
} as const

/** Stable: programs match on them. */
export type ScalerErrorCode = keyof typeof SCALER_STATUS

/** Every refusal of the library; `statusCode` is what the code means in HTTP. */
export class ScalerError extends Error {
  override readonly name = 'ScalerError'
  readonly code: ScalerErrorCode
  /** The driver's reason, for SCALER_TARGET_FAILED. */
  readonly failure: Failure | undefined
  /** Seconds after which a retry may help, for the 503s. */
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

  /** `Retry-After`, where trying again may help. */
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

/** `cause` tells which limit. */
export function wakesFull(cause: QueueFull): ScalerError {
  const whose = cause.limit === 'key' ? ' of its group' : ''
  const message = `${cause.most} targets${whose} wait to be woken, and no more may. Try again shortly.`
  return new ScalerError('SCALER_WAKES_FULL', message, { retryAfter: 2, cause })
}

/** `limit` in ms. */
export function wakeNotBegun(limit: number): ScalerError {
  const message = `The wake of this target did not begin within ${limit / 1000} s, because other wakes were queued before it. Try again shortly.`
  return new ScalerError('SCALER_WAKES_FULL', message, { retryAfter: 2 })
}

/** `limit` in ms. */
export function wakeTimedOut(limit: number): ScalerError {
  return new ScalerError('SCALER_WAKE_TIMEOUT', `The target did not answer ready within ${limit / 1000} s.`)
}

export function targetFailed(failure: Failure): ScalerError {
  return new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure })
}
