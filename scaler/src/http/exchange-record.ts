import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { ScalerErrorCode } from '../errors.ts'
import type { TargetKey } from '../types.ts'

/**
 * How a request was handled, as stated in a response header. `warm`: an endpoint was ready; the request may have waited for a free
 * place at it. `held`: the request waited for a wake, or failed before it got a place (also because the queue was full). `fallback`: it was sent elsewhere while the target was woken. The other values: the request
 * was answered without the app.
 */
export type WakeMark = 'warm' | 'held' | 'fallback' | 'loading-page' | 'answered' | 'rejected'

/**
 * Why an exchange failed: a code of the library, `CLIENT_GONE` (the client disconnected before the end of the response),
 * `RESPONSE_BROKEN` (the app broke off its response), or the code or name of an error of your own, such as of `resolve`.
 */
export type ExchangeError = ScalerErrorCode | 'CLIENT_GONE' | 'RESPONSE_BROKEN' | (string & {})

/** What became of one request and its response, or of one WebSocket. Times in ms. */
export interface ExchangeRecord {
  readonly request: IncomingMessage
  readonly method: string
  /** Undefined if there is none for the request. */
  readonly key: TargetKey | undefined
  /** The id of the endpoint that the request was last sent to; undefined if it was sent to none. */
  readonly endpoint: string | undefined
  /** The status of the response; 0 if there was none. Of an open WebSocket: 101. */
  readonly status: number
  /** The size of the request body, as far as it arrived; of a WebSocket: the bytes from the client. */
  readonly bytesIn: number
  /** The size of the response body, as far as it arrived; of a WebSocket: the bytes from the app. */
  readonly bytesOut: number
  /** The time until the request got its (last) lease, or failed while it waited for it. */
  readonly waited: number
  /** The time until the head of the app's response; undefined if there was none. */
  readonly firstByte: number | undefined
  /** The time until the end of the response, or until the WebSocket was closed. */
  readonly duration: number
  /** Undefined if there was no target for the request. */
  readonly mark: WakeMark | undefined
  readonly error: ExchangeError | undefined
}

/** Called at the begin and at the end of each exchange, WebSockets too. They must be fast and must not throw. */
export interface ExchangeHooks {
  /**
   * Called when a request has arrived. The headers that it returns are sent to the app in place of the
   * client's: `traceparent`, for example.
   */
  readonly onRequest?:
    ((request: IncomingMessage) => Readonly<Record<string, string>> | undefined) | undefined
  /** Called when the response has ended, the client has disconnected, or the WebSocket is closed. */
  readonly onExchange?: ((exchange: ExchangeRecord) => void) | undefined
}

/** What the meter needs to know of the exchange when it is over. */
export interface ExchangeEnd {
  readonly key: TargetKey | undefined
  readonly endpoint: string | undefined
  readonly mark: WakeMark | undefined
}

/** Collects what `onExchange` is told. Created only if that hook is set. */
export class ExchangeMeter {
  status = 0
  bytesOut = 0
  readonly #tell: (exchange: ExchangeRecord) => void
  readonly #clock: Clock
  readonly #request: IncomingMessage
  readonly #began: number
  #bytesIn: number
  #waited: number | undefined
  #firstByte: number | undefined
  #error: ExchangeError | undefined
  #tunnelled: (() => [bytesIn: number, bytesOut: number]) | undefined

  constructor(tell: (exchange: ExchangeRecord) => void, clock: Clock, request: IncomingMessage) {
    this.#tell = tell
    this.#clock = clock
    this.#request = request
    this.#began = clock.now()
    this.#bytesIn = request.readableLength
    // A listener for the data would start to read the body. The parser of Node calls `push` for each piece.
    const push = request.push.bind(request)
    request.push = (chunk: Buffer | null, encoding) => {
      this.#bytesIn += chunk?.length ?? 0
      return push(chunk, encoding)
    }
  }

  /** The request waits again: its lease was of no use. */
  waits(): void {
    this.#waited = undefined
  }

  leased(): void {
    this.#waited = this.#clock.now() - this.#began
  }

  answered(status: number): void {
    this.status = status
    this.#firstByte ??= this.#clock.now() - this.#began
  }

  /** Counts the bytes of a WebSocket from now on; `early` bytes of each side have been read before. */
  joined(client: Socket, app: Socket, early: readonly [bytesIn: number, bytesOut: number]): void {
    const [clientRead, appRead] = [client.bytesRead, app.bytesRead]
    this.#tunnelled = () => [early[0] + client.bytesRead - clientRead, early[1] + app.bytesRead - appRead]
  }

  /** The first error is the reason why the exchange failed; later ones follow from it. */
  failed(error: ExchangeError | (Error & { readonly code?: unknown })): void {
    if (typeof error === 'string') this.#error ??= error
    else this.#error ??= typeof error.code === 'string' ? error.code : error.name
  }

  end({ key, endpoint, mark }: ExchangeEnd): void {
    const duration = this.#clock.now() - this.#began
    const [bytesIn, bytesOut] = this.#tunnelled?.() ?? [this.#bytesIn, this.bytesOut]
    this.#tell({
      request: this.#request,
      method: this.#request.method ?? '',
      key,
      endpoint,
      status: this.status,
      bytesIn,
      bytesOut,
      waited: this.#waited ?? duration,
      firstByte: this.#firstByte,
      duration,
      mark,
      error: this.#error,
    })
  }
}
