import type { Socket } from 'node:net'

/** Bytes that are kept of what a client sends before its answer; then the socket is paused. RFC 6455 forbids clients to send any. */
const MAX_EARLY = 64 * 1024

/**
 * Watches for the disconnect of a client that waits. A socket reports its end only while somebody reads from it, and the
 * request of a client that has gone must leave the queue.
 */
export class DisconnectWatcher {
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

  /** What the client has sent so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#early)
  }

  /** Stops watching. Idempotent. What the client sends next is lost unless the caller begins to read in the same turn. */
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
