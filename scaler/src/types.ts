/** Names one target: an immutable thing that can be scaled. Opaque to the library. */
export type TargetKey = string

/** One running replica of a target that has answered ready. `id` is never used twice. */
export interface Endpoint {
  readonly id: string
  /** `http://host:port`, or `unix:/path/to.sock`. */
  readonly url: URL
}

/** Why a target cannot become ready. `code` is the driver's own, stable and machine-readable. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly details?: unknown
}

/** A step of a cold start. `at` is in ms since the wake began. */
export interface Phase {
  readonly name: string
  readonly at: number
}

/** Durations in milliseconds. `concurrency` (per endpoint) 0 = unlimited. */
export interface TargetPolicy {
  readonly concurrency: number
  /** Requests that may wait for a place; one more is refused with SCALER_QUEUE_FULL. */
  readonly queueDepth: number
  /** Declared body bytes of the waiting requests together. */
  readonly queueBytes: number
  readonly minReplicas: number
  readonly maxReplicas: number
  /** How long a wake may take until its waiters get SCALER_WAKE_TIMEOUT. Its own budget. */
  readonly readinessTimeout: number
  /** From the last release until the target is put to sleep. */
  readonly idleTimeout: number
}

/**
 * What befell a request at an endpoint. `refused` (no connection) and `reset` (closed before an answer) are hard: the
 * endpoint gets no more requests. `timeout` is soft: others are preferred.
 */
export type EndpointFault = 'refused' | 'reset' | 'timeout'

/** What a driver says of a target. `ready` is the whole set; a `failure` ends the wake at once. */
export interface TargetState {
  readonly ready: readonly Endpoint[]
  readonly failure?: Failure
  readonly phases?: readonly Phase[]
}

/** Starts and stops the replicas of targets. Implementations: process, kubernetes, fake, or your own. */
export interface Driver {
  readonly name: string
  /** Idempotent. Resolves once accepted, not once ready. */
  scale(key: TargetKey, replicas: number, options: { signal: AbortSignal }): Promise<void>
  /** Calls back with the full ready set of every known target now, then on every change. */
  watch(onChange: (key: TargetKey, state: TargetState) => void): Promise<AsyncDisposable>
}

/** A place at an endpoint. Held until the response, stream or socket has ended. */
export interface Lease extends Disposable {
  readonly endpoint: Endpoint
  /** Present when the request waited for a wake. `waited` in ms. */
  readonly coldStart?: { readonly waited: number; readonly phases: readonly Phase[] }
  /** Idempotent. */
  release(): void
}

/** One word for a target: asleep → waking → awake → draining → asleep. */
export type TargetPhase = 'asleep' | 'waking' | 'awake' | 'draining'

export interface TargetStats {
  readonly phase: TargetPhase
  readonly inFlight: number
  readonly queued: number
  readonly endpoints: number
  readonly generation: number
  /** Set after a failed wake until the next one begins. */
  readonly failure?: Failure
  readonly phases: readonly Phase[]
}

export interface AcquireOptions {
  readonly signal?: AbortSignal
  /** Declared body size in bytes, counted against `queueBytes` while waiting. */
  readonly bytes?: number
}

export interface Activator {
  /** Waits for a place at a ready endpoint, waking the target if it sleeps. Rejects with ScalerError or the signal's reason. */
  acquire(key: TargetKey, options?: AcquireOptions): Promise<Lease>
  stats(key: TargetKey): TargetStats | undefined
  /** Puts a target to sleep now if nothing holds a lease; resolves false when something does. */
  sleep(key: TargetKey): Promise<boolean>
  /** Retires a target for good: no new leases, waits for those out, then scales to zero and forgets it. */
  retire(key: TargetKey, options?: { signal?: AbortSignal }): Promise<void>
  report(key: TargetKey, endpointId: string, fault: EndpointFault): void
  /** Refuses new work, waits for the leases out, never scales down. */
  close(options?: { signal?: AbortSignal }): Promise<void>
}
