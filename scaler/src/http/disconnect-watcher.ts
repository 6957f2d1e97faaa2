import type { Socket } from 'node:net'

/**
 * The socket is paused after the client has sent this many bytes before the response to its upgrade request. RFC 6455 forbids
 * clients to send any.
 */
const MAX_EARLY = 64 * 1024

/**
 * Watches whether a waiting client disconnects, because its request must then leave the queue. A socket reports its end only
 * while it is being read, so the watcher reads and stores what the client sends.
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

  /** The bytes that the client has sent so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#early)
  }

  /** Stops watching. Idempotent. Later bytes are lost unless the caller starts to read in the same turn of the event loop. */
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
