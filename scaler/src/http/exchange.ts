import type { FastifyReply } from 'fastify'
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ScalerError } from '../errors.ts'
import { answerHeaders, reasonOf, serverTiming, type RawPart } from './answer-headers.ts'
import { gathered } from './gathered.ts'
import { dispatchHeadFirst, type HeadFirstHandler } from './head-first.ts'
import { closeIfUnread } from './linger.ts'
import type { EndpointPools } from './pools.ts'
import { hasBody, waitsForContinue } from './request-body.ts'
import { requestHeaders, type RequestHeaderRules } from './request-headers.ts'
import { requestPath } from './request-target.ts'
import { gone, neverConnected, ProxySession, type SessionDeps } from './session.ts'
import { upstreamError } from './upstream-error.ts'
import { markOf, type WakeMark } from './wake.ts'

export interface ExchangeContext extends SessionDeps, RequestHeaderRules {
  readonly pools: EndpointPools
  readonly wakeHeader: string
  readonly idleBodyTimeout: number
  readonly responseTimeout: number
}

/** Bytes up to which copying an answer is cheaper than writing it in two pieces. */
const SHORT = 16 * 1024

type Controller = Dispatcher.DispatchController

/**
 * Takes one request to the endpoint of its lease and the answer to the client. It hears of the answer from undici while
 * that is parsed and writes it as it comes: no stream is made for a body, and a small answer is one write.
 */
export class Exchange implements HeadFirstHandler {
  readonly session: ProxySession
  readonly #context: ExchangeContext
  readonly #reply: FastifyReply
  readonly #response: ServerResponse
  #body: Readable | null = null
  #gathered: Readable | undefined
  #controller: Controller | undefined
  /** What has come of the answer's body and is to be written: all that is read at once goes out in one write. */
  #pieces: Buffer[] = []
  /** Whether a write is due. */
  #pending = false
  #flushed = false
  /** Whether the end of the connection is how the client knows the end of the body. */
  #endsWithConnection = false

  constructor(context: ExchangeContext, reply: FastifyReply) {
    this.#context = context
    this.#reply = reply
    this.#response = reply.raw
    this.session = new ProxySession(context, reply.request.raw)
    // After the last byte of the answer, or when the client has left before it.
    reply.raw.on('close', () => {
      this.session.end()
      if (!this.#response.writableFinished) this.#controller?.abort(gone())
    })
  }

  /** The session holds a lease; `payload` is the request's body where Fastify has handed it to its hooks. */
  send(payload?: Readable): void {
    const { request } = this.session
    if (!hasBody(request)) return this.#dispatch()
    this.#body = payload ?? request
    this.#limitIdle()
    request.once('end', () => this.#response.headersSent || this.#response.setTimeout(0))
    // Mostly the body has come in the same packet as the head: the parser gets to it after this.
    process.nextTick(() => {
      // The parser may have met something after the head that ended the connection.
      if (request.socket.writable) this.#dispatch()
    })
  }

  /** Leaves the answer to the instance's own error handler. */
  fail(error: Error, mark: WakeMark = markOf(this.session.lease)): void {
    if (this.#response.destroyed) return
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
    // An interim answer is not the answer. Its hints are worth less than a client that stumbles over them.
    if (statusCode >= 100 && statusCode < 200) return
    if (statusCode < 100 || statusCode > 599) throw new RangeError(`${statusCode} is no status of HTTP.`)
    const coding = headers['transfer-encoding'] ?? 'chunked'
    if (String(coding).toLowerCase() !== 'chunked') throw new RangeError('Only chunks are taken apart.')
    const { request, lease } = this.session
    const { wakeHeader, ownHeaders } = this.#context
    closeIfUnread(this.#reply)
    const set = this.#reply.getHeaders() as OutgoingHttpHeaders
    const timing = serverTiming(lease!)
    if (timing) set['server-timing'] = timing
    const own = { ...ownHeaders(request), [wakeHeader]: markOf(lease) }
    this.#endsWithConnection = request.httpVersionMinor === 0 && !('content-length' in headers)
    const head = { statusCode, headers, rawHeaders: controller.rawHeaders as readonly RawPart[] }
    const chunks = request.httpVersionMinor > 0 && statusCode !== 204 && statusCode !== 304
    this.#response.writeHead(statusCode, reasonOf(reason), answerHeaders(head, { set, own, chunks }))
    this.#reply.hijack()
    this.#limitIdle()
    this.#flushSoon()
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#pieces.push(chunk)
    this.#flushSoon()
  }

  onResponseEnd(_controller: Controller, trailers: IncomingHttpHeaders): void {
    const rest = this.#take()
    this.#flushed = true
    this.#addTrailers(trailers)
    // A short string goes out in one buffer with the head, where bytes go out beside it: a tenth of a request's time.
    if (rest && rest.length <= SHORT) this.#response.end(rest.toString('latin1'), 'latin1')
    else this.#response.end(rest)
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (this.session.ended) return
    if (this.#response.headersSent) {
      this.flush()
      return this.#cut()
    }
    // Only a connection that never was: once a byte may have been written, the app may have acted on it.
    if (!neverConnected(error))
      return this.fail(upstreamError(error, this.session, this.#context.responseTimeout))
    this.session.again(error).then(
      () => this.#dispatch(),
      (failure: Error) => this.fail(failure),
    )
  }

  /** Writes what has come so far: a head does not wait for a body that comes later. */
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

  #dispatch(): void {
    const { request, lease, ended } = this.session
    const { pools, responseTimeout } = this.#context
    const source = this.#body
    const chunked = request.headers['transfer-encoding'] !== undefined
    const hasCome = source !== null && (source.readableLength > 0 || source.readableEnded)
    // Kept for another endpoint, should this one not accept the connection.
    const body = source && chunked ? (this.#gathered ??= gathered(source)) : source
    const path = requestPath(request)
    const method = request.method as Dispatcher.HttpMethod
    const headers = requestHeaders(request, this.#context)
    const { endpoint } = lease!
    const expectsContinue = waitsForContinue(request)
    if (!body || ended || (!expectsContinue && hasCome))
      return pools.dispatch(endpoint, { path, method, headers, body, blocking: false }, this)
    const more = { chunked, expectsContinue, responseTimeout }
    dispatchHeadFirst({ endpoint, method, path, headers, body, ...more }, this)
  }

  /** Those under a name of ours are dropped: some clients count trailers among the headers. */
  #addTrailers(trailers: IncomingHttpHeaders): void {
    const names = Object.keys(trailers)
    if (names.length === 0) return
    const { wakeHeader, ownHeaders } = this.#context
    const own = ownHeaders(this.session.request)
    const kept = names.filter((name) => name !== wakeHeader && !Object.hasOwn(own, name))
    this.#response.addTrailers(kept.map((name): [string, string] => [name, String(trailers[name])]))
  }

  #write(bytes: Buffer): void {
    const controller = this.#controller!
    if (this.#response.write(bytes) || controller.paused) return
    controller.pause()
    this.#response.once('drain', () => controller.resume())
  }

  /** The socket of the client is silent both when the client is too slow and when the app is. */
  #limitIdle(): void {
    const { idleBodyTimeout } = this.#context
    if (idleBodyTimeout > 0) this.#response.setTimeout(idleBodyTimeout, () => this.#cut())
  }

  /** The client must not take what it has for the whole: where only the connection's end tells, it is no orderly one. */
  #cut(): void {
    const { socket } = this.#response
    if (this.#endsWithConnection && socket?.remoteAddress && !('encrypted' in socket))
      socket.resetAndDestroy()
    else this.#response.destroy()
  }
}

function flush(exchange: Exchange): void {
  exchange.flush()
}
