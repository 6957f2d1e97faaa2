import { ApiError, CLIENT_CODES, errorOf } from './errors.ts'

export interface TransportOptions {
  /** Origin of the platform without a trailing slash. Empty (the default) means same origin: a browser. */
  baseUrl?: string
  /** Bearer token of a program. A browser needs none, since its session is a cookie. */
  token?: string | undefined
  /** The `session_id` of the log-in, in a browser. The platform then accepts only the cookie of that session. */
  sessionId?: (() => string | undefined) | undefined
  /** For tests, and for programs with their own agent. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch
  /** Called for every failed call before it throws, for example to go to the login page on 401. */
  onError?: (error: ApiError) => void
}

export interface CallOptions {
  signal?: AbortSignal | undefined
}

/** Where the page begins: the `next_cursor` of the previous page. */
export interface PageOptions extends CallOptions {
  cursor?: string | undefined
  limit?: number | undefined
}

export interface RequestOptions extends CallOptions {
  query?: Record<string, string | number | undefined>
  /** Sent as JSON. A form is sent as a multipart form. */
  body?: unknown
  headers?: Record<string, string>
  /** Let the request outlive the page (a last save on leaving). The body may then be at most 64 KB. */
  keepalive?: boolean
}

export interface Transport {
  /** The platform's origin, which comes before every path. Empty in a browser. */
  readonly base: string
  /** The parsed JSON of a 2xx answer. Undefined for 204. Throws ApiError, or the signal's reason after an abort. */
  json<T>(method: string, path: string, options?: RequestOptions): Promise<T>
  /** A 2xx answer whose body is read by the caller. */
  open(method: string, path: string, options?: RequestOptions): Promise<Response>
}

/** The one place that calls `fetch`: headers, cookies, error mapping. */
export function createTransport(options: TransportOptions = {}): Transport {
  const base = options.baseUrl ?? ''

  async function open(method: string, path: string, request: RequestOptions = {}): Promise<Response> {
    const send = options.fetch ?? globalThis.fetch
    try {
      const response = await send(base + path + queryString(request.query), init(method, request, options))
      if (response.ok) return response
      throw await errorOf(response)
    } catch (cause) {
      const error = toApiError(cause, request.signal)
      options.onError?.(error)
      throw error
    }
  }

  async function json<T>(method: string, path: string, request: RequestOptions = {}): Promise<T> {
    const response = await open(method, path, request)
    if (response.status === 204) return undefined as T
    try {
      return (await response.json()) as T
    } catch (cause) {
      if (request.signal?.aborted) throw request.signal.reason
      const message = 'The server answered with something that is not JSON. Is a proxy in the way?'
      throw new ApiError({ status: response.status, code: CLIENT_CODES.badAnswer, message }, { cause })
    }
  }

  return { base, json, open }
}

function init(method: string, request: RequestOptions, options: TransportOptions): RequestInit {
  const { token } = options
  const sessionId = options.sessionId?.()
  const headers: Record<string, string> = { accept: 'application/json', ...request.headers }
  if (token) headers['authorization'] = `Bearer ${token}`
  if (sessionId !== undefined) headers['x-fp-session'] = sessionId
  const result: RequestInit = { method, headers, credentials: 'same-origin' }
  if (request.signal) result.signal = request.signal
  if (request.keepalive) result.keepalive = true
  if (request.body instanceof FormData) {
    // The browser adds the content type, with the boundary.
    result.body = request.body
  } else if (request.body !== undefined) {
    headers['content-type'] = 'application/json'
    result.body = JSON.stringify(request.body)
  }
  return result
}

/** Throws the reason of an abort. Makes an ApiError of everything else. */
function toApiError(cause: unknown, signal: AbortSignal | undefined): ApiError {
  if (cause instanceof ApiError) return cause
  if (signal?.aborted) throw signal.reason
  const message = 'The server cannot be reached. Check your connection, then try again.'
  return new ApiError({ status: 0, code: CLIENT_CODES.network, message }, { cause })
}

function queryString(query: RequestOptions['query']): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) params.set(name, String(value))
  }
  const text = params.toString()
  return text ? `?${text}` : ''
}
