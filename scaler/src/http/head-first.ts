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
  /** Whether the body is sent in chunks; else `headers` have its length. */
  readonly chunked: boolean
  /** Whether the client waits to be asked for the body. */
  readonly expectsContinue: boolean
  /** ms without a byte of the body until the head of the answer must have come. */
  readonly responseTimeout: number
}

/** What an exchange does with an answer, whoever parses it. */
export interface HeadFirstHandler extends Dispatcher.DispatchHandler {
  /** The app has begun to read the body of a request that waits for that. */
  onContinue(): void
}

/**
 * Sends a request's head at once, and its body as it comes, over a connection of its own. undici sends nothing before the
 * first byte of a body, and knows no `Expect`: an app could neither refuse an upload by its head nor ask for the body.
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
  // One more than is allowed, to see that there are more.
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
  const timer = setTimeout(() => fail(new errors.HeadersTimeoutError()), responseTimeout)
  const refresh = (): void => void timer.refresh()
  const controller = controllerOf(() => answer, fail)

  handler.onRequestStart?.(controller, null)
  if (over) return
  // Not before there is a connection: where there is none, another endpoint gets the body whole.
  socket.once('connect', () => body.on('data', refresh).pipe(upstream))
  body.once('error', fail)
  upstream.on('error', fail).on('continue', () => handler.onContinue())
  upstream.on('information', () => attempt(() => meter.interimEnded()))
  upstream.on('upgrade', () => fail(new RangeError('The app switches protocols, which nobody asked it to.')))
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
