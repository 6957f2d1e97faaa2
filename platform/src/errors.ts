import { ERRORS, type RequestErrorCode } from '@fp/sdk/errors'

/** A code that requests are answered with. The table of all codes is the SDK's: clients read it as well. */
export type ErrorCode = RequestErrorCode

export const statusOf = (code: ErrorCode): number => ERRORS[code].status

/** The one error class of the platform. `message` says what is wrong, why, and how to mend it; the caller reads it. */
export class FpError extends Error {
  override readonly name = 'FpError'
  readonly code: ErrorCode
  readonly details: unknown
  /** Extra response headers, e.g. `retry-after`. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: unknown; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.details = options.details
    this.headers = options.headers ?? {}
  }

  get statusCode(): number {
    return statusOf(this.code)
  }
}
