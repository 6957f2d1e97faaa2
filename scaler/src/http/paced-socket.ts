import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { AnswerMeter } from './answer-meter.ts'
import { pace } from './paced-reads.ts'

type Written = (error?: Error | null) => void

/**
 * A connection for Node's own HTTP client that delivers its bytes in limited pieces, taking turns with other endpoints. Without
 * it, the client would parse everything that has arrived at once.
 */
export class PacedSocket extends Duplex {
  readonly #socket: Socket
  #wanted = false

  constructor(socket: Socket, endpoint: string, meter: AnswerMeter) {
    // The next piece is not read before the last one is parsed.
    super({ readableHighWaterMark: 1 })
    this.#socket = socket
    pace(socket, endpoint, meter)
    socket.on('readable', this.#pull).on('end', this.#end).on('error', this.#fail).on('close', this.#fail)
  }

  /** Returns the connection itself, for use with another protocol after an upgrade. */
  release(): Socket {
    const socket = this.#socket
    socket.off('readable', this.#pull).off('end', this.#end).off('error', this.#fail).off('close', this.#fail)
    // Restores the socket's original `read`.
    delete (socket as Partial<Socket>).read
    return socket
  }

  override _read(): void {
    this.#wanted = true
    this.#pull()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Written): void {
    this.#socket.write(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Written): void {
    this.#socket.cork()
    chunks.forEach(({ chunk }, at) => this.#socket.write(chunk, at === chunks.length - 1 ? done : undefined))
    this.#socket.uncork()
  }

  override _final(done: Written): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: Written): void {
    this.#socket.destroy()
    done(error)
  }

  readonly #pull = (): void => {
    while (this.#wanted) {
      const piece = this.#socket.read() as Buffer | null
      if (!piece) return
      this.#wanted = this.push(piece)
    }
  }

  readonly #end = (): void => void this.push(null)

  readonly #fail = (error?: unknown): void => void this.destroy(error instanceof Error ? error : undefined)
}
