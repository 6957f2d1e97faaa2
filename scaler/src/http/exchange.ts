import type { FastifyReply } from 'fastify'
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { asError } from '../as-error.ts'
import { ScalerError } from '../errors.ts'
import { answerHeaders, reasonOf, serverTiming, type RawPart } from './answer-headers.ts'
import { gathered } from './gathered.ts'
import { dispatchHeadFirst, type HeadFirstHandler } from './head-first.ts'
import { requestTimedOut } from './limits.ts'
import { closeIfUnread } from './linger.ts'
import { isStale } from './paced-reads.ts'
import type { OpenExchanges } from './open-exchanges.ts'
import type { EndpointPools } from './pools.ts'
import { hasBody, waitsForContinue } from './request-body.ts'
import { requestHeaders, type RequestHeaderRules } from './request-headers.ts'
import { requestPath } from './request-target.ts'
import { gone, neverConnected, ProxySession, type SessionDeps } from './session.ts'
import { upstreamError } from './upstream-error.ts'
import type { ExchangeError, WakeMark } from './exchange-record.ts'

// Longer than 300 lines: one handler, whose callbacks share the state of the exchange.

export interface ExchangeContext extends SessionDeps, RequestHeaderRules {
  readonly pools: EndpointPools
  readonly wakeHeader: string
  readonly open: OpenExchanges
}

/** The size in bytes up to which copying a response body is cheaper than a second write. */
const SHORT = 16 * 1024

/** RFC 9110 §9.2.2: sending such a request twice has the same effect as sending it once. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

type Controller = Dispatcher.DispatchController

/**
 * Sends one request to the endpoint of its lease, and the response to the client. undici calls the exchange while it parses the
 * response, and the exchange writes the response as it arrives: without a stream for the body, and in one write if it is small.
 */
export class Exchange implements HeadFirstHandler {
  readonly session: ProxySession
  readonly #context: ExchangeContext
  readonly #reply: FastifyReply
  readonly #response: ServerResponse
  #body: Readable | null = null
  #gathered: Readable | undefined
  #controller: Controller | undefined
  /** Parts of the response body that are still to be written. All parts that arrive in one turn go out in one write. */
  #pieces: Buffer[] = []
  /** Whether a write is scheduled. */
  #pending = false
  #flushed = false
  /** Whether the client recognizes the end of the body only by the end of the connection. */
  #endsWithConnection = false
  /** Whether the request was sent a second time. */
  #resent = false
  #failed = false
  /** Cancels the limit of the whole exchange. */
  #unlimit: (() => void) | undefined

  constructor(context: ExchangeContext, reply: FastifyReply) {
    this.#context = context
    this.#reply = reply
    this.#response = reply.raw
    this.session = new ProxySession(context, reply.request.raw)
    context.open.add(reply.raw)
    // Emitted after the last byte of the response, or when the client has disconnected before that.
    reply.raw.on('close', () => {
      this.#unlimit?.()
      this.session.end()
      if (!this.#response.writableFinished) this.#controller?.abort(gone())
      this.#tell()
    })
  }

  /** Starts the limit of the whole exchange, if there is one. The session must have its target. */
  limit(): void {
    const { requestTimeout } = this.session.limits
    if (requestTimeout > 0)
      this.#unlimit = this.#context.clock.schedule(requestTimeout, () => this.#stop(requestTimeout))
  }

  /** Sends the request. The session must hold a lease. `payload` is the request body if Fastify has passed it to its hooks. */
  send(payload?: Readable): void {
    const { request } = this.session
    if (!hasBody(request)) return this.#dispatch()
    this.#body = payload ?? request
    this.#limitIdle()
    request.once('end', () => this.#response.headersSent || this.#response.setTimeout(0))
    // Usually the body has arrived in the same packet as the head; the parser gets to the body after this function returns.
    process.nextTick(() => {
      // The parser may have found an error after the head and ended the connection.
      if (request.socket.writable) this.#dispatch()
    })
  }

  /** Passes the error to the error handler of the Fastify instance, which sends the response. */
  fail(reason: unknown, mark: WakeMark = this.session.mark): void {
    if (this.#response.destroyed || this.#failed) return
    const error = asError(reason)
    this.#failed = true
    this.session.meter?.failed(error)
    closeIfUnread(this.#reply)
    if (error instanceof ScalerError) this.#reply.headers(error.headers)
    this.#reply.header(this.#context.wakeHeader, mark).send(error)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.session.ended) controller.abort(gone())
  }

  onContinue(): void {
    if (!this.session.ended && !this.#response.headersSent) this.#response.writeContinue()
  }

  onResponseStart(
    controller: Controller,
    statusCode: number,
    headers: IncomingHttpHeaders,
    reason = '',
  ): void {
    // Interim responses are not forwarded: their hints are not worth the risk, as some clients cannot handle them.
    if (statusCode >= 100 && statusCode < 200) return
    if (statusCode < 100 || statusCode > 599)
      throw new RangeError(`${statusCode} is not a valid HTTP status.`)
    const coding = headers['transfer-encoding'] ?? 'chunked'
    if (String(coding).toLowerCase() !== 'chunked')
      throw new RangeError('The only supported Transfer-Encoding of a response is chunked.')
    const { request, lease, own: ours } = this.session
    const { wakeHeader, open } = this.#context
    closeIfUnread(this.#reply)
    if (open.closing) this.#response.shouldKeepAlive = false
    const set = this.#reply.getHeaders() as OutgoingHttpHeaders
    const timing = serverTiming(lease!)
    if (timing) set['server-timing'] = timing
    const own = { ...ours, [wakeHeader]: this.session.mark }
    this.#endsWithConnection = request.httpVersionMinor === 0 && !('content-length' in headers)
    const head = { statusCode, headers, rawHeaders: controller.rawHeaders as readonly RawPart[] }
    const chunks = request.httpVersionMinor > 0 && statusCode !== 204 && statusCode !== 304
    this.session.meter?.answered(statusCode)
    this.#response.writeHead(statusCode, reasonOf(reason), answerHeaders(head, { set, own, chunks }))
    this.#reply.hijack()
    this.#limitIdle()
    this.#flushSoon()
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#pieces.push(chunk)
    if (this.session.meter) this.session.meter.bytesOut += chunk.length
    this.#flushSoon()
  }

  onResponseEnd(_controller: Controller, trailers: IncomingHttpHeaders): void {
    const rest = this.#take()
    this.#flushed = true
    this.#addTrailers(trailers)
    // Node writes a short string together with the head, but a Buffer separately. This saves a tenth of the time of a request.
    if (rest && rest.length <= SHORT) this.#response.end(rest.toString('latin1'), 'latin1')
    else this.#response.end(rest)
  }

  onResponseError(controller: Controller | undefined, error: Error): void {
    if (this.session.ended) return
    if (this.#response.headersSent) {
      this.flush()
      return this.#cut('RESPONSE_BROKEN')
    }
    // undici has not begun to write the request if it passes no controller.
    if (this.#mayResend(error, !controller)) {
      this.#resent = true
      return this.#dispatch()
    }
    // Another endpoint is tried only if no connection was made: once a byte may have been sent, the app may have acted on it.
    if (!neverConnected(error)) return this.fail(upstreamError(error, this.session))
    this.session.again(error).then(
      () => this.#dispatch(),
      (failure: Error) => this.fail(failure),
    )
  }

  /** Writes what has arrived so far: the head does not wait for a body that arrives later. */
  flush(): void {
    this.#pending = false
    if (this.session.ended || this.#response.writableEnded) return
    const bytes = this.#take()
    if (bytes) this.#write(bytes)
    // Not flushHeaders(), which writes bytes above 127 as UTF-8.
    else if (!this.#flushed) this.#response.write('', 'latin1')
    this.#flushed = true
  }

  #flushSoon(): void {
    if (this.#pending) return
    this.#pending = true
    process.nextTick(flush, this)
  }

  #take(): Buffer | undefined {
    const pieces = this.#pieces
    if (pieces.length === 0) return undefined
    this.#pieces = []
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
  }

  /**
   * Whether to send the request again, once, over a new connection, after the error of one that the app may have closed before
   * the request arrived. A body may have been read already, so requests with one are sent again only if they are `unsent`. If
   * the head could not be written completely, the app has not got the request.
   */
  #mayResend(error: Error & { syscall?: string }, unsent: boolean): boolean {
    if (this.#resent || !isStale(error)) return false
    const isHarmless = error.syscall === 'write' || IDEMPOTENT.has(this.session.request.method ?? '')
    return unsent || (this.#body === null && isHarmless)
  }

  #dispatch(): void {
    try {
      this.#pass()
    } catch (error) {
      this.fail(error)
    }
  }

  #pass(): void {
    const { request, lease, ended } = this.session
    const { pools } = this.#context
    const { responseTimeout, upstreamKeepAlive } = this.session.limits
    const source = this.#body
    const chunked = request.headers['transfer-encoding'] !== undefined
    const hasCome = source !== null && (source.readableLength > 0 || source.readableEnded)
    // Reused for another endpoint if this one does not accept the connection.
    const body = source && chunked ? (this.#gathered ??= gathered(source)) : source
    const path = requestPath(request)
    const method = request.method as Dispatcher.HttpMethod
    const headers = requestHeaders(request, this.#context, this.session.headers)
    const { endpoint } = lease!
    const expectsContinue = waitsForContinue(request)
    const options = { path, method, headers, body, blocking: false, headersTimeout: responseTimeout }
    if (this.#resent) return pools.dispatchAlone(endpoint, options, this)
    if (!body || ended || (!expectsContinue && hasCome))
      return pools.dispatch(endpoint, options, this, upstreamKeepAlive)
    const more = { chunked, expectsContinue, responseTimeout }
    dispatchHeadFirst({ endpoint, method, path, headers, body, ...more }, this)
  }

  /** Forwards the trailers, except those with the name of a proxy header: some clients treat trailers as headers. */
  #addTrailers(trailers: IncomingHttpHeaders): void {
    const names = Object.keys(trailers)
    if (names.length === 0) return
    const { wakeHeader } = this.#context
    const { own } = this.session
    const kept = names.filter((name) => name !== wakeHeader && !Object.hasOwn(own, name))
    this.#response.addTrailers(kept.map((name): [string, string] => [name, String(trailers[name])]))
  }

  #write(bytes: Buffer): void {
    const controller = this.#controller!
    if (this.#response.write(bytes) || controller.paused) return
    controller.pause()
    this.#response.once('drain', () => controller.resume())
  }

  /** The timeout of the client's socket covers both sides: the socket is idle when the client is too slow and when the app is. */
  #limitIdle(): void {
    const { idleBodyTimeout } = this.session.limits
    if (idleBodyTimeout > 0)
      this.#response.setTimeout(idleBodyTimeout, () => this.#cut('SCALER_BODY_TIMEOUT'))
  }

  /** The exchange as a whole has taken too long: a response that has begun cannot become an error any more. */
  #stop(limit: number): void {
    if (this.#response.headersSent) return this.#cut('SCALER_REQUEST_TIMEOUT')
    const error = requestTimedOut(limit)
    this.fail(error)
    this.session.end(error)
    this.#controller?.abort(error)
  }

  #tell(): void {
    const { meter } = this.session
    if (!meter) return
    if (!this.#response.writableFinished) meter.failed('CLIENT_GONE')
    // Sent by Fastify: an error, a page, or the answer of a wake policy.
    if (meter.status === 0 && this.#response.headersSent) {
      meter.status = this.#response.statusCode
      meter.bytesOut = Number(this.#reply.getHeader('content-length') ?? 0)
    }
    this.session.tell(this.#reply.getHeader(this.#context.wakeHeader) as WakeMark | undefined)
  }

  /**
   * Ends the connection so that the client cannot mistake a partial body for a complete one. If the end of the connection marks
   * the end of the body, the connection is reset instead of closed.
   */
  #cut(why: ExchangeError): void {
    this.session.meter?.failed(why)
    const { socket } = this.#response
    if (this.#endsWithConnection && socket?.remoteAddress && !('encrypted' in socket))
      socket.resetAndDestroy()
    else this.#response.destroy()
  }
}

function flush(exchange: Exchange): void {
  exchange.flush()
}
