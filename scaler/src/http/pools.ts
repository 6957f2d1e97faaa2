import { Pool, type Dispatcher } from 'undici'
import type { Endpoint } from '../types.ts'
import { MAX_HEAD } from './answer-meter.ts'
import { MeteredHandler, pacedConnector } from './paced-reads.ts'

/** An unused pool is closed at the second sweep that finds it so. */
const SWEEP_INTERVAL = 10_000
/** Below the 5 s after which uvicorn closes a silent connection, so that no request meets a closing socket. */
const KEEP_ALIVE = 4_000
/** ms until an endpoint that does not even refuse is given up. */
export const CONNECT_TIMEOUT = 2_000

/** Keep-alive connections to endpoints, one pool an endpoint. */
export class EndpointPools {
  readonly #pools = new Map<string, { pool: Pool; used: boolean }>()
  readonly #responseTimeout: number
  readonly #sweeper: NodeJS.Timeout

  /** `responseTimeout` is how long an endpoint may take for the head of its answer; ms. */
  constructor(responseTimeout: number) {
    this.#responseTimeout = responseTimeout
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_INTERVAL).unref()
  }

  dispatch(
    endpoint: Endpoint,
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): void {
    this.#of(endpoint).dispatch(options, new MeteredHandler(handler))
  }

  #of(endpoint: Endpoint): Pool {
    let entry = this.#pools.get(endpoint.id)
    if (!entry) this.#pools.set(endpoint.id, (entry = { pool: this.#open(endpoint), used: true }))
    entry.used = true
    return entry.pool
  }

  async destroy(): Promise<void> {
    clearInterval(this.#sweeper)
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()))
    this.#pools.clear()
  }

  #open(endpoint: Endpoint): Pool {
    const socketPath = socketPathOf(endpoint.url)
    return new Pool(socketPath ? 'http://app' : endpoint.url.origin, {
      connect: pacedConnector(endpoint.id, {
        timeout: CONNECT_TIMEOUT,
        ...(socketPath ? { socketPath } : {}),
      }),
      // Above what the connector lets through: undici goes on after it has found too much.
      maxHeaderSize: 2 * MAX_HEAD,
      headersTimeout: this.#responseTimeout,
      // A stream may be silent for as long as it likes; the client's end of it is what ends it.
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE,
      keepAliveMaxTimeout: KEEP_ALIVE,
    })
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

/** The path of a `unix:` endpoint. */
export function socketPathOf(url: URL): string | undefined {
  return url.protocol === 'unix:' ? decodeURIComponent(url.pathname) : undefined
}
