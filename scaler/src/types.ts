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

/** How the number of replicas follows concurrency while a target is awake. Knative's pod autoscaler; durations in ms. */
export interface ScalingPolicy {
  /** Requests in flight per replica that are aimed at. Default: the target's `concurrency`, or 100 where that is unlimited. */
  readonly targetConcurrency?: number
  /** The part of `targetConcurrency` that is used before another replica is wanted; 0 to 1. */
  readonly targetUtilization: number
  readonly stableWindow: number
  readonly panicWindow: number
  /** Panic begins when the panic window wants this many times the replicas that are ready. */
  readonly panicThreshold: number
  /** At most this many times the ready replicas at one decision; more than 1. */
  readonly maxScaleUpRate: number
  /** At least the ready replicas divided by this at one decision; more than 1. */
  readonly maxScaleDownRate: number
  /** Fewer replicas only after they have sufficed for this long. */
  readonly scaleDownDelay: number
}

/** Durations in milliseconds. `concurrency` (per endpoint) 0 = unlimited. */
export interface TargetPolicy {
  readonly concurrency: number
  /** Requests that may wait for a place; one more is refused with SCALER_QUEUE_FULL. */
  readonly queueDepth: number
  /** Declared body bytes of the waiting requests together; a single one may be larger. */
  readonly queueBytes: number
  readonly minReplicas: number
  readonly maxReplicas: number
  /** How long a wake may take until its waiters get SCALER_WAKE_TIMEOUT. Its own budget. */
  readonly readinessTimeout: number
  /** From the last release until the target is put to sleep. */
  readonly idleTimeout: number
  /** Times at which the target is kept awake whether it is used or not, with at least one replica. */
  readonly warmWindows?: readonly WarmWindow[]
  /** In force while `maxReplicas` is more than one; what is not given is Knative's default. */
  readonly scaling?: Partial<ScalingPolicy>
}

/** Awake during every minute that the pattern names: `* 8-17 * * 1-5` is from 8:00 to 18:00 on working days. */
export interface WarmWindow {
  /** The five fields of cron: minute, hour, day of the month, month, day of the week. */
  readonly cron: string
  /** An IANA name. Default: UTC. */
  readonly timeZone?: string
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

/** Of one scale call. */
export interface ScaleOptions {
  readonly signal: AbortSignal
  /**
   * Ids of endpoints that nobody uses any more, when there are to be fewer but not none. Replicas that are not ready yet
   * go first, then these; ready ones that are not named stay, even if there are more than `replicas` then. A driver that
   * cannot choose must let the ones it stops answer what they have.
   */
  readonly remove?: readonly string[]
}

/** Starts and stops the replicas of targets. Implementations: process, kubernetes, fake, or your own. */
export interface Driver {
  readonly name: string
  /**
   * Idempotent. Resolves once accepted, not once ready. After `scale(key, 0)` and `scale(key, 1)` no endpoint of before
   * is ready. A driver whose news may be late resolves to the ids that it stops, whether they have been reported or not:
   * what is still said of them is void then. Rejects when it cannot be done.
   */
  scale(key: TargetKey, replicas: number, options: ScaleOptions): Promise<void | readonly string[]>
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

/** A target at this moment. */
export interface TargetStats {
  readonly phase: TargetPhase
  readonly inFlight: number
  readonly queued: number
  readonly endpoints: number
  /** How many were last asked for; 0 while it sleeps. */
  readonly replicas: number
  readonly generation: number
  /** Set after a failed wake until the next one begins. */
  readonly failure?: Failure
  readonly phases: readonly Phase[]
  /** Since when nothing has used it, by the activator's clock. Set while it is awake and unused. */
  readonly idleSince?: number
}

/** Of one request. */
export interface AcquireOptions {
  readonly signal?: AbortSignal
  /** Declared body size in bytes, counted against `queueBytes` while waiting. */
  readonly bytes?: number
}

/** Leases for requests, and a say in the life of targets. */
export interface Activator {
  /** Waits for a place at a ready endpoint, waking the target if it sleeps. Rejects with ScalerError or the signal's reason. */
  acquire(key: TargetKey, options?: AcquireOptions): Promise<Lease>
  /** A lease at once, or undefined where `acquire` would have to wait or reject. For the hot path. */
  tryAcquire(key: TargetKey): Lease | undefined
  /** Undefined for a target that is not remembered: it sleeps undisturbed. */
  stats(key: TargetKey): TargetStats | undefined
  /** Every target that is remembered: one that sleeps undisturbed is not. For gauges. */
  targets(): Iterable<[TargetKey, TargetStats]>
  /**
   * Applies the target's policy as it is now. To be called at the start and when a policy changes for targets that are
   * kept awake (`minReplicas`, `warmWindows`); all others need not be named.
   */
  refresh(key: TargetKey): void
  /** Puts a target to sleep now if nothing holds a lease; resolves false when something does. */
  sleep(key: TargetKey): Promise<boolean>
  /** Retires a target for good: no new leases, waits for those out, then scales to zero and forgets it. */
  retire(key: TargetKey, options?: { signal?: AbortSignal }): Promise<void>
  /** What befell a request at the endpoint of its lease. An endpoint that is not known is no news. */
  report(key: TargetKey, endpointId: string, fault: EndpointFault): void
  /** Refuses new work, waits for the leases out, never scales down. */
  close(options?: { signal?: AbortSignal }): Promise<void>
}
