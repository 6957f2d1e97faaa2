import { ScalerError, type ScalerErrorCode } from '@fp/scaler'
import { FpError, type ErrorCode } from '../../errors.ts'
import type { AppFailureReport } from '../../runtime/runtime.ts'
import { TargetFailed } from '../../runtime/targets.ts'

/** An error as it is sent over the channel. */
export type SentError =
  | {
      readonly type: 'fp'
      readonly code: ErrorCode
      readonly message: string
      readonly details?: unknown
      readonly headers: Readonly<Record<string, string>>
      /** The code of the ScalerError that is its cause. */
      readonly cause?: ScalerErrorCode
    }
  | { readonly type: 'target-failed'; readonly failure: AppFailureReport }
  | { readonly type: 'other'; readonly message: string }

/** Serializes an error. `receiveError` makes an equal one of it, so code that handles errors need not know the channel. */
export function sendError(error: unknown): SentError {
  if (error instanceof TargetFailed) return { type: 'target-failed', failure: error.failure }
  if (!(error instanceof FpError)) return { type: 'other', message: (error as Error).message }
  const { code, message, details, headers, cause } = error
  return {
    type: 'fp',
    code,
    message,
    headers,
    ...(details !== undefined && { details }),
    ...(cause instanceof ScalerError && { cause: cause.code }),
  }
}

export function receiveError(sent: SentError): Error {
  switch (sent.type) {
    case 'target-failed':
      return new TargetFailed(sent.failure)
    case 'fp': {
      const { code, message, details, headers, cause } = sent
      return new FpError(code, message, {
        details,
        headers: { ...headers },
        ...(cause && { cause: new ScalerError(cause, message) }),
      })
    }
    case 'other':
      return new Error(sent.message)
  }
}
