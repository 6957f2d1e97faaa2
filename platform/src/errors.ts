import { ERRORS, type RequestErrorCode } from '@fp/sdk/errors'

/** An error code of answers to requests. The table of all codes is in the SDK, as clients use it too. */
export type ErrorCode = RequestErrorCode

export const statusOf = (code: ErrorCode): number => ERRORS[code].status

/** The only error class of the platform. The caller reads `message`, which says what is wrong, why, and how to fix it. */
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
