import type { Socket } from 'node:net'

/** The maximum ms for which responses are parsed in one turn of the event loop. */
const TURN = 3

/**
 * Shares the time for parsing responses fairly among endpoints. What does not fit into one turn of the event loop waits for the
 * next one, and the endpoints are served round robin: an app whose responses take long to parse delays mainly itself.
 */
export class ReadTurns {
  /** The waiting connections by endpoint, in the order of their turns. */
  readonly #waiting = new Map<string, Set<Socket>>()
  readonly #now: () => number
  /** The time until which connections may be read in this turn of the event loop; 0 if no turn has begun. */
  #until = 0
  /** The connection whose turn it is. */
  #next: Socket | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Whether a piece of this connection may be parsed now. If not, the socket emits `readable` when its turn comes. */
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
    // Moved to the end, if other connections of the endpoint still wait.
    this.#waiting.delete(endpoint)
    if (sockets.size > 0) this.#waiting.set(endpoint, sockets)
    this.#next = socket
    socket!.emit('readable')
    this.#next = undefined
  }
}
