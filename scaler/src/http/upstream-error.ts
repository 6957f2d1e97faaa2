import { ScalerError } from '../errors.ts'
import { MAX_HEAD, MAX_HEAD_LINES } from './answer-meter.ts'
import type { ProxySession } from './session.ts'

type NodeError = Error & { readonly code?: string; readonly syscall?: string }

/** As undici and Node's own client name it. */
const TOO_LARGE = new Set(['UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW'])

/** The connection broke: by its end, or, where a machine or a second kernel has gone without a word, by the network's verdict. */
const isLost = ({ code, syscall }: NodeError): boolean =>
  code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || syscall !== undefined

/** What is told of an endpoint that gave no answer within so many ms. */
export function tooLate(limit: number, cause?: Error): ScalerError {
  return new ScalerError('SCALER_UPSTREAM_TIMEOUT', `The app did not answer within ${limit / 1000} s.`, {
    cause,
  })
}

/** The error to answer with when an endpoint had the request and gave no answer; reports what it says of the endpoint. */
export function upstreamError(error: NodeError, session: ProxySession, responseTimeout: number): ScalerError {
  if (error.code === 'UND_ERR_HEADERS_TIMEOUT') {
    session.report('timeout')
    return tooLate(responseTimeout, error)
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
  // Most likely it is on its way down: the next request goes to a new one rather than into its socket.
  session.report('reset')
  return new ScalerError('SCALER_UPSTREAM_RESET', 'The app closed the connection before it answered.', {
    cause: error,
  })
}
