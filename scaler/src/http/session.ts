import type { IncomingMessage } from 'node:http'
import { ScalerError } from '../errors.ts'
import type { Activator, EndpointFault, Lease, TargetKey } from '../types.ts'

/**
 * Which target a request is for; throws or rejects when there is none. Asked again when that has been `retired`, here or by
 * another activator of which nothing has been heard yet: what is remembered is to be looked up anew then. The answer
 * itself, where it is at hand, is quicker than a promise of it.
 */
export type ResolveTarget = (request: IncomingMessage, retired?: TargetKey) => TargetKey | Promise<TargetKey>

/** A deploy may retire the target between its lookup and the lease; more than a few in one request is a bug. */
const MAX_RETIRED = 5
/** A refused connection means that nothing was sent: the request may go to another endpoint, this often. */
const MAX_REFUSED = 3

export interface SessionDeps {
  readonly activator: Activator
  readonly resolve: ResolveTarget
}

/** One request's way to an endpoint: the lease it holds, and how to get another. */
export class ProxySession {
  readonly request: IncomingMessage
  readonly #deps: SessionDeps
  #gone: AbortController | undefined
  #key: TargetKey | undefined
  #lease: Lease | undefined
  #refused = 0
  #ended = false

  constructor(deps: SessionDeps, request: IncomingMessage) {
    this.#deps = deps
    this.request = request
  }

  get key(): TargetKey | undefined {
    return this.#key
  }

  get lease(): Lease | undefined {
    return this.#lease
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Aborted at the end. Made when first asked for: a request that need not wait has no use for it. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#ended) this.#gone.abort(gone())
    return this.#gone.signal
  }

  /** Looks up the target, which is `key` from then on. */
  locate(retired?: TargetKey): TargetKey | Promise<TargetKey> {
    const found = this.#deps.resolve(this.request, retired)
    if (typeof found === 'string') return (this.#key = found)
    return found.then((key) => (this.#key = key))
  }

  /** A lease at once, where the target has been located, is awake and has room. */
  tryAcquire(): Lease | undefined {
    if (this.#ended) return undefined
    return (this.#lease = this.#deps.activator.tryAcquire(this.#key!))
  }

  async acquire(): Promise<Lease> {
    const bytes = Number(this.request.headers['content-length'] ?? 0)
    let retired: TargetKey | undefined
    for (let attempt = 1; ; attempt++) {
      const key = this.#key ?? (await this.locate(retired))
      try {
        const lease = await this.#deps.activator.acquire(key, { signal: this.signal, bytes })
        if (this.#ended) lease.release()
        this.#lease = lease
        return lease
      } catch (error) {
        const isRetired = error instanceof ScalerError && error.code === 'SCALER_RETIRED'
        if (!isRetired || attempt === MAX_RETIRED) throw error
        retired = key
        this.#key = undefined
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
    if (this.#key && this.#lease) this.#deps.activator.report(this.#key, this.#lease.endpoint.id, fault)
  }

  /** Idempotent; gives the lease back, one that arrives later too. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#lease?.release()
    this.#gone?.abort(gone())
  }
}

/** Why what was done for a client is given up. */
export function gone(): Error {
  return new Error('The client has gone away.')
}

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOENT', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH'])

/** True for errors that come before the first byte could be written. */
export function neverConnected(error: Error & { code?: string }): boolean {
  return NOT_CONNECTED.has(error.code ?? '')
}
