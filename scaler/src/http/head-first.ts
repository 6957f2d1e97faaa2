import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { errors, type Dispatcher } from 'undici'
import type { Endpoint } from '../types.ts'
import { AnswerMeter, MAX_HEAD, MAX_HEAD_LINES } from './answer-meter.ts'
import { connectTo } from './app-socket.ts'
import { PacedSocket } from './paced-socket.ts'

export interface HeadFirstRequest {
  readonly endpoint: Endpoint
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Readable
  /** Whether the body is sent with chunked encoding. Otherwise `headers` contain its length. */
  readonly chunked: boolean
  /** Whether the client sends the body only after a 100 (Continue) response. */
  readonly expectsContinue: boolean
  /** The maximum ms from the last byte of the request body until the head of the response; 0 = unlimited. */
  readonly responseTimeout: number
}

/** Callbacks for a response, whether undici or Node's HTTP client parses it. */
export interface HeadFirstHandler extends Dispatcher.DispatchHandler {
  /** The app has sent 100 (Continue). */
  onContinue(): void
}

/**
 * Sends the head of a request immediately and the body as it arrives, over a new connection. undici sends nothing before the
 * first byte of the body, and does not support `Expect`, so an app could neither refuse an upload by its head nor send 100
 * (Continue).
 */
export function dispatchHeadFirst(request: HeadFirstRequest, handler: HeadFirstHandler): void {
  const { endpoint, method, path, body, chunked, expectsContinue, responseTimeout } = request
  const socket = connectTo(endpoint)
  const headers = [...request.headers, 'connection', 'keep-alive']
  if (chunked) headers.push('transfer-encoding', 'chunked')
  if (expectsContinue) headers.push('expect', '100-continue')
  const meter = new AnswerMeter(socket)
  const paced = new PacedSocket(socket, endpoint.id, meter)
  const createConnection = (): PacedSocket => paced
  const upstream = httpRequest({ createConnection, method, path, headers, maxHeaderSize: MAX_HEAD })
  // One more than allowed, to detect that the limit is exceeded.
  upstream.maxHeadersCount = MAX_HEAD_LINES + 1
  let answer: IncomingMessage | undefined
  let over = false

  const end = (finish: () => void): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    body.unpipe(upstream).off('data', refresh).off('error', fail)
    finish()
    paced.destroy()
    upstream.destroy()
  }
  const fail = (error: Error): void => end(() => handler.onResponseError?.(controller, error))
  const attempt = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      fail(error as Error)
    }
  }
  const tooLate = (): void => fail(new errors.HeadersTimeoutError())
  const timer = responseTimeout > 0 ? setTimeout(tooLate, responseTimeout) : undefined
  const refresh = (): void => void timer?.refresh()
  const controller = controllerOf(() => answer, fail)

  handler.onRequestStart?.(controller, null)
  if (over) return
  // The body is not read before the connection is made: if it fails, another endpoint must get the whole body.
  socket.once('connect', () => body.on('data', refresh).pipe(upstream))
  body.once('error', fail)
  upstream.on('error', fail).on('continue', () => handler.onContinue())
  upstream.on('information', () => attempt(() => meter.interimEnded()))
  upstream.on('upgrade', () =>
    fail(new RangeError('The app switched protocols although the request did not ask for that.')),
  )
  upstream.on('close', () => fail(new errors.SocketError('other side closed')))
  upstream.on('response', (response) => {
    answer = response
    clearTimeout(timer)
    body.off('data', refresh)
    response.on('error', fail)
    attempt(() => {
      meter.headEnded(response.rawHeaders, false)
      Object.assign(controller, { rawHeaders: response.rawHeaders })
      handler.onResponseStart?.(controller, response.statusCode!, response.headers, response.statusMessage)
    })
    if (over) return
    response.on('data', (chunk: Buffer) => handler.onResponseData?.(controller, chunk))
    response.once('end', () => {
      if (response.rawTrailers.length > 2 * MAX_HEAD_LINES) fail(new errors.HeadersOverflowError())
      else end(() => handler.onResponseEnd?.(controller, response.trailers))
    })
  })
  upstream.flushHeaders()
}

function controllerOf(
  answer: () => IncomingMessage | undefined,
  fail: (error: Error) => void,
): Dispatcher.DispatchController {
  let reason: Error | null = null
  return {
    get aborted() {
      return reason !== null
    },
    get paused() {
      return answer()?.isPaused() ?? false
    },
    get reason() {
      return reason
    },
    abort(error) {
      reason ??= error
      fail(error)
    },
    pause: () => void answer()?.pause(),
    resume: () => void answer()?.resume(),
  }
}
