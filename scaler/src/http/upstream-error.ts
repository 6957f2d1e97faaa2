import { ScalerError } from '../errors.ts'
import { MAX_HEAD, MAX_HEAD_LINES } from './answer-meter.ts'
import { isLost, isStale } from './paced-reads.ts'
import type { ProxySession } from './session.ts'

/** The error codes of undici and of Node's own HTTP client for a response head that is too large. */
const TOO_LARGE = new Set(['UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW'])

/** The error for an endpoint that did not respond within `limit` ms. */
export function tooLate(limit: number, cause?: Error): ScalerError {
  return new ScalerError('SCALER_UPSTREAM_TIMEOUT', `The app did not answer within ${limit / 1000} s.`, {
    cause,
  })
}

/**
 * The error for the client when an endpoint had received the request but sent no valid response. Also reports the fault of the
 * endpoint to the activator.
 */
export function upstreamError(error: Error & { readonly code?: string }, session: ProxySession): ScalerError {
  if (error.code === 'UND_ERR_HEADERS_TIMEOUT') {
    session.report('timeout')
    return tooLate(session.limits.responseTimeout, error)
  }
  if (TOO_LARGE.has(error.code ?? ''))
    return new ScalerError(
      'SCALER_UPSTREAM_HEAD_TOO_LARGE',
      `The headers of the app's answer are larger than ${MAX_HEAD / 1024} KB or more than ${MAX_HEAD_LINES} lines.`,
      { cause: error },
    )
  if (!isLost(error))
    return new ScalerError('SCALER_UPSTREAM_INVALID', 'The answer of the app is not valid HTTP.', {
      cause: error,
    })
  // Most likely the endpoint is shutting down: the next request must go to another one.
  if (!isStale(error)) session.report('reset')
  return new ScalerError('SCALER_UPSTREAM_RESET', 'The app closed the connection before it answered.', {
    cause: error,
  })
}
