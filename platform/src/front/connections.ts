import type { Socket } from 'node:net'
import type { Client } from './client.ts'

export interface ConnectionLimits {
  /** Of one address. 0: no limit for one address. */
  readonly perAddress: number
  readonly total: number
}

/** The open connections of a client. */
interface Held {
  /** Connections without a request, longest idle first. They can be closed to make room. */
  readonly idle: Set<Socket>
  count: number
}

interface Connection {
  readonly held: Held
  /** The function that ends each running request. */
  readonly requests: Set<() => void>
}

/**
 * The connections of all listeners. If a client at its limit opens another one, its longest idle connection is closed; if
 * none is idle, the new one is refused. At the total limit, the client with the most connections loses one in the same way.
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

  /** False if there is no room: the connection must be closed. */
  accept(socket: Socket, { key, shared }: Client): boolean {
    const { perAddress, total } = this.#limits
    const held = this.#clients.get(key) ?? { idle: new Set(), count: 0 }
    // A shared address gets at most half of all connections, so that other clients always find room.
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

  /** The number of running requests on a connection. */
  requestsOf(socket: Socket): number {
    return this.#open.get(socket)?.requests.size ?? 0
  }

  /** Registers a request. `release` is called once: when the returned function is called or the connection closes. */
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
    // Node emits no event for answers that wait for another one on the same connection.
    for (const end of [...requests]) end()
  }

  #largest(): Held | undefined {
    let largest: Held | undefined
    for (const held of this.#clients.values())
      if (held.idle.size > 0 && held.count > (largest?.count ?? 0)) largest = held
    return largest
  }
}

/** Closes the connection that has been idle longest; false if none is idle. */
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
