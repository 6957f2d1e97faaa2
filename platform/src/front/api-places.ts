import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { refuse } from './answers.ts'

/** Concurrent requests to the API of one user, or of one address without a session; and as many for the console's files. */
export const PER_API_CLIENT = 100

/** Probes must not fail because of other requests from their address. */
const PROBES = new Set(['/healthz', '/readyz'])

/**
 * Limits the requests under way to the API and the console, by client. Strangers at one address are one client, and one of them
 * could fill all places by sending no bodies or reading no answers. So when the places are full, the oldest request that
 * waits for its client is ended for the next one.
 */
export class ApiPlaces {
  /** In each set the oldest request is first. */
  readonly #held = new Map<string, Set<Exchange>>()

  /** Returns a function that releases the place, or undefined if all places are taken. */
  take(client: string, request: IncomingMessage, answer: ServerResponse | Duplex): (() => void) | undefined {
    const kind = kindOf(request)
    if (kind === 'probe') return () => undefined
    const key = `${kind} ${client}`
    const held = this.#held.get(key) ?? new Set()
    if (held.size >= PER_API_CLIENT && !endOldest(held)) return undefined
    const exchange = { request, answer }
    this.#held.set(key, held.add(exchange))
    return () => {
      held.delete(exchange)
      if (held.size === 0 && this.#held.get(key) === held) this.#held.delete(key)
    }
  }
}

interface Exchange {
  readonly request: IncomingMessage
  readonly answer: ServerResponse | Duplex
}

/** The console's files have places of their own: they need no work of the API, and the console must load. */
function kindOf({ method, url = '' }: IncomingMessage): 'probe' | 'file' | 'api' {
  if ((method !== 'GET' && method !== 'HEAD') || url.startsWith('/api/')) return 'api'
  return PROBES.has(url) ? 'probe' : 'file'
}

/** Ends the oldest request that waits for its client; false if none does. */
function endOldest(held: Set<Exchange>): boolean {
  for (const exchange of held) {
    const { request, answer } = exchange
    if (!('writeHead' in answer) || !waitsForClient(request, answer)) continue
    held.delete(exchange)
    endLate(request, answer)
    return true
  }
  return false
}

/** Whether the body has not arrived completely, or the client has not read what was answered. */
function waitsForClient(request: IncomingMessage, answer: ServerResponse): boolean {
  return !request.complete || (answer.headersSent && answer.writableLength > 0)
}

/** Ends a request whose client is too slow. */
export function endLate(request: IncomingMessage, answer: ServerResponse): void {
  if (answer.headersSent) return void request.socket.destroy()
  refuse(answer, 408, 'The body of the request took too long to arrive. Send the request again.')
}
