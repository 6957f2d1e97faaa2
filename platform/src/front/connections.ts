import type { Socket } from 'node:net'
import type { Client } from './client.ts'

export interface ConnectionLimits {
  /** Of one address. 0: as many as there are. */
  readonly perAddress: number
  readonly total: number
}

/** What a client has open. */
interface Held {
  /** Without a request, the one that has been so longest first: what can be closed to make room. */
  readonly idle: Set<Socket>
  count: number
}

interface Connection {
  readonly held: Held
  /** What is to be let go of for each request under way. */
  readonly requests: Set<() => void>
}

/**
 * The connections of all listeners. A client that has as many as it may loses the one that has been idle longest, and where
 * none is idle, gets no other; when there is no room at all, whoever has most makes it.
 */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #clients = new Map<string, Held>()
  readonly #open = new Map<Socket, Connection>()

  constructor(limits: ConnectionLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#open.size
  }

  /** False when there is no room for it: it is to be closed. */
  accept(socket: Socket, { key, shared }: Client): boolean {
    const { perAddress, total } = this.#limits
    const held = this.#clients.get(key) ?? { idle: new Set(), count: 0 }
    // Half of all is enough for the many behind one address: those elsewhere always find room.
    const most = shared || perAddress === 0 ? Math.ceil(total / 2) : Math.min(perAddress, total)
    if (held.count >= most && !closeIdle(held)) return false
    if (this.#open.size >= total && !closeIdle(this.#largest())) return false
    this.#clients.set(key, held)
    this.#open.set(socket, { held, requests: new Set() })
    held.count++
    held.idle.add(socket)
    socket.once('close', () => this.#closed(socket, key))
    return true
  }

  /** Requests under way on a connection. */
  requestsOf(socket: Socket): number {
    return this.#open.get(socket)?.requests.size ?? 0
  }

  /** A request has begun. `release` is called once, when what is returned is, or when the connection closes before. */
  begin(socket: Socket, release: () => void): () => void {
    const connection = this.#open.get(socket)
    if (!connection) return once(release)
    const { held, requests } = connection
    const end = once(() => {
      requests.delete(end)
      if (requests.size === 0 && this.#open.has(socket)) held.idle.add(socket)
      release()
    })
    requests.add(end)
    held.idle.delete(socket)
    return end
  }

  #closed(socket: Socket, key: string): void {
    const { held, requests } = this.#open.get(socket)!
    this.#open.delete(socket)
    held.idle.delete(socket)
    if (--held.count === 0) this.#clients.delete(key)
    // Node does not tell of the end of answers that wait for another one on the same connection.
    for (const end of [...requests]) end()
  }

  #largest(): Held | undefined {
    let largest: Held | undefined
    for (const held of this.#clients.values())
      if (held.idle.size > 0 && held.count > (largest?.count ?? 0)) largest = held
    return largest
  }
}

/** Closes the connection that has been idle longest; false where there is none. */
function closeIdle(held: Held | undefined): boolean {
  const oldest = held?.idle.values().next().value
  if (!oldest) return false
  held!.idle.delete(oldest)
  oldest.destroy()
  return true
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
