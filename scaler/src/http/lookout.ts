import type { Socket } from 'node:net'

/** Bytes that are kept for a client that talks before it was answered; it then waits. By RFC 6455 none does. */
const MAX_EARLY = 64 * 1024

/**
 * Watches a client that waits. A socket that nobody reads does not tell that its other end has left, and the request of
 * one that has left must leave the queue.
 */
export class Lookout {
  readonly #socket: Socket
  readonly #early: Buffer[]
  #size: number
  #ended = false

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket
    this.#early = [head]
    this.#size = head.length
    socket.on('data', this.#keep).once('end', this.#leave)
  }

  /** What the client has said so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#early)
  }

  /** Idempotent. From then on what the client says is lost, unless somebody reads it from the same moment on. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#socket.off('data', this.#keep).off('end', this.#leave).resume()
  }

  readonly #keep = (bytes: Buffer): void => {
    this.#early.push(bytes)
    this.#size += bytes.length
    if (this.#size > MAX_EARLY) this.#socket.pause()
  }

  readonly #leave = (): void => void this.#socket.destroy()
}
