import type { CLIENT_ERRORS } from '../errors/index.ts'
import type { ErrorBody } from '../wire/index.ts'

/** Codes of the client itself, for when it could not read an answer of the API. */
export const CLIENT_CODES = {
  /** The server could not be reached, or the connection broke. `status` is 0. */
  network: 'FP_NETWORK',
  /** The answer was not what the API promises, such as a proxy's HTML page. */
  badAnswer: 'FP_BAD_ANSWER',
} as const satisfies Record<string, keyof typeof CLIENT_ERRORS>

export interface ApiErrorFields {
  /** HTTP status; 0 when there was no answer. */
  status: number
  code: string
  message: string
  details?: unknown
  request_id?: string | undefined
}

/** Every failed call of the client throws this. Match on `code`; `message` is written for people. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly details: unknown
  readonly request_id: string | undefined

  constructor(fields: ApiErrorFields, options?: ErrorOptions) {
    super(fields.message, options)
    this.name = 'ApiError'
    this.status = fields.status
    this.code = fields.code
    this.details = fields.details
    this.request_id = fields.request_id
  }
}

export interface FieldError {
  field: string
  message: string
}

/** The errors of single fields (`details: [{field, message}]`), or an empty list. */
export function fieldErrors(error: unknown): FieldError[] {
  if (!(error instanceof ApiError) || !Array.isArray(error.details)) return []
  return error.details.filter(isFieldError)
}

function isFieldError(item: unknown): item is FieldError {
  if (typeof item !== 'object' || item === null) return false
  const { field, message } = item as Record<string, unknown>
  return typeof field === 'string' && typeof message === 'string'
}

/** The error of an answer whose status is not 2xx. Uses the status alone when the body is not an error of the API. */
export async function errorOf(response: Response): Promise<ApiError> {
  const header = response.headers.get('x-request-id') ?? undefined
  const text = await response.text().catch(() => '')
  const body = parseErrorBody(text)
  if (body) return new ApiError({ status: response.status, ...body, request_id: body.request_id ?? header })
  return new ApiError({
    status: response.status,
    code: CLIENT_CODES.badAnswer,
    message: `The server answered ${response.status}${response.statusText ? ` ${response.statusText}` : ''} without saying why.`,
    request_id: header,
  })
}

function parseErrorBody(text: string): ErrorBody | undefined {
  try {
    const body = JSON.parse(text) as Partial<ErrorBody> | null
    if (body && typeof body.code === 'string' && typeof body.message === 'string') return body as ErrorBody
  } catch {
    // not JSON: a proxy's page, or an empty body
  }
  return undefined
}
