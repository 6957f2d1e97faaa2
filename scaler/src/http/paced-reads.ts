import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { buildConnector, type Dispatcher } from 'undici'
import { AnswerMeter } from './answer-meter.ts'
import { ReadTurns } from './read-turns.ts'

/** A single instance, because there is only one event loop. */
const turns = new ReadTurns()

type Controller = Dispatcher.DispatchController

/** The meter of the connection whose bytes are being parsed. undici parses what it has read before it does anything else. */
let parsing: AnswerMeter | undefined

/** Makes connections for undici that deliver their bytes in limited pieces, taking turns with other endpoints. */
export function pacedConnector(
  endpoint: string,
  options: buildConnector.BuildOptions,
): buildConnector.connector {
  const connect = buildConnector(options)
  return (target, callback) =>
    connect(target, (...result) => {
      const [, socket] = result
      if (socket) {
        const meter = new AnswerMeter(socket)
        pace(socket, endpoint, meter)
        socket.on('error', (error) => {
          if (isLost(error) && meter.mayBeStale) staleErrors.add(error)
        })
      }
      callback(...result)
    })
}

type NodeError = Error & { readonly code?: string; readonly syscall?: string }

/** Whether the connection broke: it was closed, or a system call failed, for example because the remote machine is gone. */
export function isLost({ code, syscall }: NodeError): boolean {
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || syscall !== undefined
}

/** Errors of connections that the endpoint may have closed while they were idle. */
const staleErrors = new WeakSet<Error>()

/**
 * Whether a request failed on a connection that had served others, before any byte of its response: the endpoint may have closed
 * the connection before the request arrived. Such an error says nothing about the health of the endpoint.
 */
export function isStale(error: Error): boolean {
  return staleErrors.has(error)
}

/**
 * Replaces `socket.read()` so that it returns the next piece only when it is the endpoint's turn, and null otherwise. The socket
 * emits `readable` again when the turn comes.
 */
export function pace(socket: Socket, endpoint: string, meter: AnswerMeter): void {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  socket.read = (size?: number) => {
    const bytes = socket.readableLength
    // Node itself calls read(0) to read more from the network.
    if (size !== undefined || bytes === 0 || socket.destroyed) return read(size)
    const flaw = meter.flaw()
    if (flaw) socket.destroy(flaw)
    if (flaw || !turns.take(socket, endpoint)) return null
    const piece = read(bytes > meter.next ? meter.next : undefined)
    if (piece) meter.given(piece)
    parsing = meter
    return piece
  }
}

/** Reports to the meter of a connection what undici has parsed. */
export class MeteredHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler
  #meter: AnswerMeter | undefined

  constructor(handler: Dispatcher.DispatchHandler) {
    this.#handler = handler
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#handler.onRequestStart?.(controller, context)
  }

  onResponseStart(
    controller: Controller,
    statusCode: number,
    headers: IncomingHttpHeaders,
    reason?: string,
  ): void {
    const meter = (this.#meter ??= parsing!)
    if (statusCode < 200) meter.interimEnded()
    else meter.headEnded(controller.rawHeaders as readonly Buffer[])
    this.#handler.onResponseStart?.(controller, statusCode, headers, reason)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#meter!.content(chunk.length)
    this.#handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(controller: Controller, trailers: IncomingHttpHeaders): void {
    this.#meter!.ended()
    this.#handler.onResponseEnd?.(controller, trailers)
  }

  onResponseError(controller: Controller, error: Error): void {
    this.#handler.onResponseError?.(controller, error)
  }
}
