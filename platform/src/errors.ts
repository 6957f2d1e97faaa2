/** Every code the API answers with, and its HTTP status. Codes are stable: programs match on them. */
export const ERROR_STATUS = {
  FP_BAD_REQUEST: 400,
  FP_INVALID_JSON: 400,
  FP_INVALID_MULTIPART: 400,
  FP_INVALID_CURSOR: 400,
  FP_UNAUTHENTICATED: 401,
  FP_BAD_CREDENTIALS: 401,
  FP_CSRF: 403,
  FP_FORBIDDEN: 403,
  FP_NOT_FOUND: 404,
  FP_APP_NOT_FOUND: 404,
  FP_VERSION_NOT_FOUND: 404,
  FP_DEPLOYMENT_NOT_FOUND: 404,
  FP_TEMPLATE_NOT_FOUND: 404,
  FP_ASSET_NOT_FOUND: 404,
  FP_METHOD_NOT_ALLOWED: 405,
  FP_USERNAME_TAKEN: 409,
  FP_EMAIL_TAKEN: 409,
  FP_DRAFT_CONFLICT: 409,
  FP_APP_NOT_DEPLOYED: 409,
  FP_APP_BUSY: 409,
  FP_APP_DELETED: 409,
  FP_STORAGE_UNAVAILABLE: 409,
  FP_APP_LIMIT: 409,
  FP_STORAGE_LIMIT: 409,
  FP_SUPERSEDED: 409,
  FP_BODY_TOO_LARGE: 413,
  FP_UNSUPPORTED_MEDIA_TYPE: 415,
  FP_BODY_TOO_COMPLEX: 422,
  FP_INVALID_FIELDS: 422,
  FP_VALIDATION_FAILED: 422,
  FP_TOO_MANY_FILES: 422,
  FP_FILE_TOO_LARGE: 422,
  FP_FILES_TOO_LARGE: 422,
  FP_FILE_EXTENSION: 422,
  FP_FILE_PATH: 422,
  FP_ENTRYPOINT_MISSING: 422,
  FP_ASSET_QUOTA: 422,
  FP_ENV_VAR_NAME: 422,
  FP_TOO_MANY_ENV_VARS: 422,
  FP_ENV_VARS_TOO_LARGE: 422,
  FP_TOO_MANY_REQUESTS: 429,
  FP_DEPLOY_LIMIT: 429,
  FP_INTERNAL: 500,
  FP_APP_CRASHED: 502,
  FP_APP_HEADERS_TOO_LARGE: 502,
  FP_UNAVAILABLE: 503,
  FP_SANDBOX_UNAVAILABLE: 503,
  FP_QUEUE_FULL: 503,
  FP_TOO_MANY_STREAMS: 503,
  FP_AWAKE_LIMIT: 503,
  FP_WAKE_TIMEOUT: 504,
  FP_APP_TIMEOUT: 504,
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

/** The one error class of the platform. `message` says what, why and how to mend; it is shown to the caller. */
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
    return ERROR_STATUS[this.code]
  }
}
