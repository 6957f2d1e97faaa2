import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { errors, type Dispatcher } from 'undici'
import type { Endpoint } from '../types.ts'
import { connectTo } from './app-socket.ts'

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
  /** For the answer's head, in bytes. */
  readonly maxHeaderSize: number
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
  const { endpoint, method, path, body, chunked, expectsContinue, maxHeaderSize, responseTimeout } = request
  const socket = connectTo(endpoint)
  const headers = [...request.headers, 'connection', 'keep-alive']
  if (chunked) headers.push('transfer-encoding', 'chunked')
  if (expectsContinue) headers.push('expect', '100-continue')
  const upstream = httpRequest({ createConnection: () => socket, method, path, headers, maxHeaderSize })
  upstream.maxHeadersCount = 0
  let answer: IncomingMessage | undefined
  let over = false

  const end = (finish: () => void): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    body.unpipe(upstream).off('data', refresh).off('error', fail)
    finish()
    socket.destroy()
    upstream.destroy()
  }
  const fail = (error: Error): void => end(() => handler.onResponseError?.(controller, error))
  const timer = setTimeout(() => fail(new errors.HeadersTimeoutError()), responseTimeout)
  const refresh = (): void => void timer.refresh()
  const controller = controllerOf(() => answer, fail)

  handler.onRequestStart?.(controller, null)
  if (over) return
  // Not before there is a connection: where there is none, another endpoint gets the body whole.
  socket.once('connect', () => body.on('data', refresh).pipe(upstream))
  body.once('error', fail)
  upstream.on('error', fail).on('continue', () => handler.onContinue())
  upstream.on('upgrade', () => fail(new RangeError('The app switches protocols, which nobody asked it to.')))
  upstream.on('close', () => fail(new errors.SocketError('other side closed')))
  upstream.on('response', (response) => {
    answer = response
    clearTimeout(timer)
    body.off('data', refresh)
    response.on('error', fail)
    try {
      Object.assign(controller, { rawHeaders: response.rawHeaders })
      handler.onResponseStart?.(controller, response.statusCode!, response.headers, response.statusMessage)
    } catch (error) {
      return fail(error as Error)
    }
    response.on('data', (chunk: Buffer) => handler.onResponseData?.(controller, chunk))
    response.once('end', () => end(() => handler.onResponseEnd?.(controller, response.trailers)))
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
