import type { IncomingMessage } from 'node:http'
import { ScalerError } from '../errors.ts'
import type { Activator, EndpointFault, Lease, TargetKey } from '../types.ts'

/** Which target a request is for; rejects when there is none. Asked again when a target was retired meanwhile. */
export type ResolveTarget = (request: IncomingMessage) => Promise<TargetKey>

/** A deploy may retire the target between its lookup and the lease; more than a few in one request is a bug. */
const MAX_RETIRED = 5
/** A refused connection means that nothing was sent: the request may go to another endpoint, this often. */
const MAX_REFUSED = 3

/** One request's way to an endpoint: the lease it holds, and how to get another. */
export class ProxySession {
  readonly request: IncomingMessage
  readonly signal: AbortSignal
  readonly #activator: Activator
  readonly #resolve: ResolveTarget
  #key: TargetKey | undefined
  #lease: Lease | undefined
  #refused = 0
  #ended = false

  constructor(
    deps: { activator: Activator; resolve: ResolveTarget },
    request: IncomingMessage,
    signal: AbortSignal,
  ) {
    this.#activator = deps.activator
    this.#resolve = deps.resolve
    this.request = request
    this.signal = signal
  }

  get key(): TargetKey | undefined {
    return this.#key
  }

  get lease(): Lease | undefined {
    return this.#lease
  }

  async acquire(): Promise<Lease> {
    const bytes = Number(this.request.headers['content-length'] ?? 0)
    for (let attempt = 1; ; attempt++) {
      this.#key = await this.#resolve(this.request)
      try {
        const lease = await this.#activator.acquire(this.#key, { signal: this.signal, bytes })
        if (this.#ended) lease.release()
        this.#lease = lease
        return lease
      } catch (error) {
        const retired = error instanceof ScalerError && error.code === 'SCALER_RETIRED'
        if (!retired || attempt === MAX_RETIRED) throw error
      }
    }
  }

  /** After a refused connection: reports it and takes a lease elsewhere. Rejects with SCALER_UPSTREAM_REFUSED in the end. */
  async again(cause: Error): Promise<Lease> {
    this.report('refused')
    this.#lease?.release()
    if (++this.#refused >= MAX_REFUSED) {
      throw new ScalerError('SCALER_UPSTREAM_REFUSED', 'The app did not accept the connection.', { cause })
    }
    return this.acquire()
  }

  report(fault: EndpointFault): void {
    if (this.#key && this.#lease) this.#activator.report(this.#key, this.#lease.endpoint.id, fault)
  }

  /** Idempotent; a lease that arrives later is given back at once. */
  end(): void {
    this.#ended = true
    this.#lease?.release()
  }
}

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOENT', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH'])

/** True for errors that come before the first byte could be written. */
export function neverConnected(error: Error & { code?: string }): boolean {
  return NOT_CONNECTED.has(error.code ?? '')
}
