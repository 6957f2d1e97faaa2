import type { IncomingMessage } from 'node:http'
import { asError } from '../as-error.ts'
import { ScalerError } from '../errors.ts'
import type { Clock } from '../clock.ts'
import { ExchangeMeter, type ExchangeHooks, type WakeMark } from './exchange-record.ts'
import type { ExchangeLimits } from './limits.ts'
import { checkedHeaders, type OwnHeaders } from './request-headers.ts'
import type { Activator, EndpointFault, Lease, TargetKey } from '../types.ts'

/**
 * Returns the target of a request; throws or rejects if there is none. Called again with `retired` if that target has been
 * retired, by this or another activator: cached results must then be looked up again. Returning the key itself is faster than
 * returning a promise.
 */
export type ResolveTarget = (request: IncomingMessage, retired?: TargetKey) => TargetKey | Promise<TargetKey>

/** The maximum number of lookups per request. A deploy may retire the target between lookup and lease, but not this often. */
const MAX_RETIRED = 5
/** The maximum number of refused connections per request. Nothing was sent then, so the request may go to another endpoint. */
const MAX_REFUSED = 3

export interface SessionDeps {
  readonly hooks: ExchangeHooks
  readonly clock: Clock
  readonly activator: Activator
  readonly resolve: ResolveTarget
  readonly ownHeaders: OwnHeaders
  limits(key: TargetKey, request: IncomingMessage): ExchangeLimits
}

/** A wake that was begun for requests that are sent elsewhere meanwhile; `reason` if it has failed. */
export interface FailedWake {
  reason?: { readonly error: unknown }
}

/** The target and the lease of one request. */
export class ProxySession {
  readonly request: IncomingMessage
  /** Set if the embedder wants to know of the exchange. */
  readonly meter: ExchangeMeter | undefined
  /** The headers that `onRequest` has returned. */
  readonly #added: Readonly<Record<string, string>> | undefined
  readonly #deps: SessionDeps
  #gone: AbortController | undefined
  #key: TargetKey | undefined
  #own: Readonly<Record<string, string>> | undefined
  #limits: ExchangeLimits | undefined
  #lease: Lease | undefined
  #refused = 0
  #ended = false
  /** The wake of the target, if the lease is not one of the target. */
  #diverted: FailedWake | undefined

  constructor(deps: SessionDeps, request: IncomingMessage) {
    this.#deps = deps
    this.request = request
    const { onRequest, onExchange } = deps.hooks
    this.meter = onExchange && new ExchangeMeter(onExchange, deps.clock, request)
    this.#added = onRequest?.(request)
  }

  get key(): TargetKey | undefined {
    return this.#key
  }

  /** The headers that only the proxy sets, for the app and the client. */
  get own(): Readonly<Record<string, string>> {
    return (this.#own ??= checkedHeaders('ownHeaders', this.#deps.ownHeaders(this.request)))
  }

  /** The headers for the app that replace the client's. */
  get headers(): Readonly<Record<string, string>> {
    return this.#added ? { ...checkedHeaders('onRequest', this.#added), ...this.own } : this.own
  }

  /** `locate` must have completed. */
  get limits(): ExchangeLimits {
    return (this.#limits ??= this.#deps.limits(this.#key!, this.request))
  }

  get lease(): Lease | undefined {
    return this.#lease
  }

  get mark(): WakeMark {
    if (this.#diverted) return 'fallback'
    return this.#lease && !this.#lease.coldStart ? 'warm' : 'held'
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Aborts when the session ends. Created at the first use, because a request that need not wait does not need it. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#ended) this.#gone.abort(gone())
    return this.#gone.signal
  }

  /** Looks up the target and sets `key`. */
  locate(retired?: TargetKey): TargetKey | Promise<TargetKey> {
    this.#limits = undefined
    const found: unknown = this.#deps.resolve(this.request, retired)
    if (typeof found === 'string') return (this.#key = checkedKey(found))
    return Promise.resolve(found).then((key) => (this.#key = checkedKey(key)))
  }

  /** Takes a lease immediately if the target is awake and has a free place. `locate` must have completed. */
  tryAcquire(): Lease | undefined {
    if (this.#ended) return undefined
    this.#lease = this.#deps.activator.tryAcquire(this.#key!)
    if (this.#lease) this.meter?.leased()
    return this.#lease
  }

  /** Sends the request elsewhere while the target wakes: nothing of the target is leased. */
  divert(url: URL, waking: FailedWake): Lease {
    const nothing = (): void => undefined
    this.#diverted = waking
    this.meter?.leased()
    this.#lease = { endpoint: { id: url.href, url }, release: nothing, [Symbol.dispose]: nothing }
    return this.#lease
  }

  async acquire(): Promise<Lease> {
    const bytes = Number(this.request.headers['content-length'] ?? 0)
    let retired: TargetKey | undefined
    for (let attempt = 1; ; attempt++) {
      const key = this.#key ?? (await this.locate(retired))
      const { queueTimeout } = this.limits
      try {
        const lease = await this.#deps.activator.acquire(key, { signal: this.signal, bytes, queueTimeout })
        if (this.#ended) lease.release()
        this.#lease = lease
        this.meter?.leased()
        return lease
      } catch (error) {
        const isRetired = error instanceof ScalerError && error.code === 'SCALER_RETIRED'
        if (!isRetired || attempt === MAX_RETIRED) throw error
        retired = key
        this.#key = undefined
      }
    }
  }

  /**
   * Called after a refused connection: reports it and acquires another lease. Rejects with SCALER_UPSTREAM_REFUSED after
   * MAX_REFUSED refused connections.
   */
  async again(cause: Error): Promise<Lease> {
    this.report('refused')
    this.#lease?.release()
    const failed = this.#diverted?.reason
    if (++this.#refused >= MAX_REFUSED) {
      throw new ScalerError('SCALER_UPSTREAM_REFUSED', 'The app did not accept the connection.', { cause })
    }
    this.#lease = this.#diverted = undefined
    this.meter?.waits()
    // One wake for each request: it has failed already.
    if (failed) throw asError(failed.error)
    return this.acquire()
  }

  report(fault: EndpointFault): void {
    if (!this.#diverted && this.#key && this.#lease)
      this.#deps.activator.report(this.#key, this.#lease.endpoint.id, fault)
  }

  /** The exchange is over. `mark`: that of the response, if it did not come from the app. */
  tell(mark?: WakeMark): void {
    const key = this.#key
    const handled = key === undefined ? undefined : this.mark
    this.meter?.end({ key, endpoint: this.#lease?.endpoint.id, mark: mark ?? handled })
  }

  /** Ends the session and releases its lease, even one that is granted later. Idempotent. */
  end(reason?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#lease?.release()
    this.#gone?.abort(reason ?? gone())
  }
}

function checkedKey(key: unknown): TargetKey {
  if (typeof key === 'string' && key !== '') return key
  throw new TypeError(
    `resolve has returned no target but ${JSON.stringify(key)}. It must return a key, or throw an error with a statusCode such as 404.`,
  )
}

/** The abort reason when the client has disconnected. */
export function gone(): Error {
  return new Error('The client has gone away.')
}

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOENT', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH'])

/** Whether the error occurred before any byte could be sent. */
export function neverConnected(error: Error & { code?: string }): boolean {
  return NOT_CONNECTED.has(error.code ?? '')
}
