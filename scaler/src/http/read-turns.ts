import type { Socket } from 'node:net'

/** ms for which answers are parsed in one turn of the event loop. */
const TURN = 3

/**
 * Shares the event loop among the endpoints whose answers are parsed. What does not fit into one turn of the loop waits for
 * the next, one endpoint after the other: an app whose answers take long to parse waits for itself.
 */
export class ReadTurns {
  /** By endpoint. */
  readonly #waiting = new Map<string, Set<Socket>>()
  readonly #now: () => number
  /** Until when connections may be read in this turn; 0 outside of one. */
  #until = 0
  /** Whose turn it is. */
  #next: Socket | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Whether a piece of this connection may be parsed now. If not, it becomes `readable` when it may. */
  take(socket: Socket, endpoint: string): boolean {
    if (this.#until === 0) this.#begin()
    if (this.#next === socket) {
      this.#next = undefined
      return true
    }
    if (this.#waiting.size === 0 && this.#now() < this.#until) return true
    const sockets = this.#waiting.get(endpoint)
    if (sockets) sockets.add(socket)
    else this.#waiting.set(endpoint, new Set([socket]))
    return false
  }

  #begin(): void {
    this.#until = this.#now() + TURN
    setImmediate(() => this.#pass())
  }

  #pass(): void {
    this.#until = 0
    if (this.#waiting.size === 0) return
    this.#begin()
    do this.#passOne()
    while (this.#waiting.size > 0 && this.#now() < this.#until)
  }

  #passOne(): void {
    const [endpoint, sockets] = this.#waiting.entries().next().value!
    const [socket] = sockets as Set<Socket> & Iterable<Socket, undefined, undefined>
    sockets.delete(socket!)
    // To the end of the row.
    this.#waiting.delete(endpoint)
    if (sockets.size > 0) this.#waiting.set(endpoint, sockets)
    this.#next = socket
    socket!.emit('readable')
    this.#next = undefined
  }
}
