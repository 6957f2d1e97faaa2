import { Pool, type Dispatcher } from 'undici'
import { socketPathOf } from '../address.ts'
import type { Endpoint } from '../types.ts'
import { MAX_HEAD } from './answer-meter.ts'
import { MeteredHandler, pacedConnector } from './paced-reads.ts'

/** ms between two sweeps. A pool is closed if it was not used between two sweeps. */
const SWEEP_INTERVAL = 10_000
/** ms. Shorter than the 5 s after which uvicorn closes an idle connection, so that no request is sent on a closing connection. */
const UPSTREAM_KEEP_ALIVE = 4_000
/** ms by which a connection is closed before the time that the endpoint's `Keep-Alive` header states. */
const KEEP_ALIVE_MARGIN = 1_000
/** ms after which an attempt to connect fails if the endpoint neither accepts nor refuses the connection. */
export const CONNECT_TIMEOUT = 2_000

/** Keep-alive connections to endpoints, with one pool per endpoint. */
export class EndpointPools {
  readonly #pools = new Map<string, { pool: Pool; used: boolean }>()
  readonly #sweeper: NodeJS.Timeout

  constructor() {
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_INTERVAL).unref()
  }

  dispatch(
    endpoint: Endpoint,
    options: PooledRequest,
    handler: Dispatcher.DispatchHandler,
    keepAlive: number,
  ): void {
    this.#of(endpoint, keepAlive).dispatch(options, handler)
  }

  /** Sends a request over a new connection, which no other request has used. */
  dispatchAlone(endpoint: Endpoint, options: PooledRequest, handler: Dispatcher.DispatchHandler): void {
    const pool = new EndpointPool(endpoint, { response: 0, idleBody: 0, keepAlive: 0 })
    pool.dispatch(options, handler)
    // Closes the connection after the response.
    pool.close().catch(() => undefined)
  }

  #of(endpoint: Endpoint, keepAlive: number): Pool {
    let entry = this.#pools.get(endpoint.id)
    if (!entry) {
      // Each request has its own limit for the response. Its exchange limits how long a body may be silent.
      const pool = new EndpointPool(endpoint, { response: 0, idleBody: 0, keepAlive })
      this.#pools.set(endpoint.id, (entry = { pool, used: true }))
    }
    entry.used = true
    return entry.pool
  }

  async destroy(): Promise<void> {
    clearInterval(this.#sweeper)
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()))
    this.#pools.clear()
  }

  #sweep(): void {
    for (const [id, entry] of this.#pools) {
      const busy = entry.used || entry.pool.stats.running > 0 || entry.pool.stats.pending > 0
      entry.used = false
      if (busy) continue
      this.#pools.delete(id)
      entry.pool.close().catch(() => undefined)
    }
  }
}

/** `headersTimeout`: the maximum time in ms until the head of the response; 0 = unlimited. */
export type PooledRequest = Dispatcher.DispatchOptions & { readonly headersTimeout: number }

/** In ms; 0 = unlimited. */
export interface EndpointTimeouts {
  /** How long the endpoint may take for the head of its answer. */
  readonly response: number
  /** How long the body of the answer may be silent. */
  readonly idleBody: number
  /** How long a connection is kept without a request, if the endpoint's `Keep-Alive` header does not ask for less. Default 4 s; 0 = not at all. */
  readonly keepAlive?: number
}

/**
 * undici's client for one endpoint, with the limits of the proxy: answers are parsed in small pieces, in turn with those of
 * other endpoints, and what is no content in them is limited. Must be destroyed after use.
 */
export class EndpointPool extends Pool {
  constructor({ id, url }: Endpoint, timeouts: EndpointTimeouts) {
    const { response, idleBody, keepAlive = UPSTREAM_KEEP_ALIVE } = timeouts
    const socketPath = socketPathOf(url)
    super(socketPath ? 'http://app' : url.origin, {
      connect: pacedConnector(id, { timeout: CONNECT_TIMEOUT, ...(socketPath ? { socketPath } : {}) }),
      // Higher than the limit of the meter, so that the meter reports the error: undici continues to parse after its own.
      maxHeaderSize: 2 * MAX_HEAD,
      headersTimeout: response,
      bodyTimeout: idleBody,
      pipelining: keepAlive > 0 ? 1 : 0,
      keepAliveTimeout: keepAlive || UPSTREAM_KEEP_ALIVE,
      keepAliveMaxTimeout: keepAlive || UPSTREAM_KEEP_ALIVE,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN,
    })
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return super.dispatch(options, new MeteredHandler(handler))
  }
}
