import type { Settings } from './checks.ts'

/** The name of a target: something immutable that can be scaled, such as one version of an app. The library does not parse it. */
export type TargetKey = string

/** One running replica of a target that has passed its readiness probe. An `id` is never reused. */
export interface Endpoint {
  readonly id: string
  /** `http://host:port` without a path, or `unix:/path/to.sock`. */
  readonly url: URL
}

/** Why a target cannot become ready. `code` is defined by the driver; it is stable and machine-readable. */
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

/** How the number of replicas follows concurrency while a target is awake, as in Knative's pod autoscaler. Durations in ms. */
export interface ScalingPolicy {
  /** The desired number of requests in flight per replica. Default: the target's `concurrency`, or 100 if that is unlimited. */
  readonly targetConcurrency?: number | undefined
  /**
   * The desired number of requests per second and replica. If it is set, the rate of requests decides the number of replicas, and
   * not how many are in flight: for short requests whose number matters more than their duration.
   */
  readonly targetRate?: number | undefined
  /** The fraction of `targetConcurrency` or `targetRate` above which another replica is wanted; 0 to 1. */
  readonly targetUtilization: number
  readonly stableWindow: number
  readonly panicWindow: number
  /** Panic mode begins when the panic window wants at least this many times the ready replicas. */
  readonly panicThreshold: number
  /** One decision multiplies the number of ready replicas by this at most; greater than 1. */
  readonly maxScaleUpRate: number
  /** One decision divides the number of ready replicas by this at most; greater than 1. */
  readonly maxScaleDownRate: number
  /** The number of replicas is reduced only after fewer replicas have been enough for this long. */
  readonly scaleDownDelay: number
  /** The number of replicas that a wake starts at once; kept for one stable window. At most `maxReplicas` are started. */
  readonly activationScale: number
}

/** Durations in milliseconds. `concurrency` (per endpoint) 0 = unlimited. */
export interface TargetPolicy {
  readonly concurrency: number
  /** The maximum number of waiting requests; further ones are refused with SCALER_QUEUE_FULL. */
  readonly queueDepth: number
  /** The maximum total of the declared body sizes of all waiting requests, in bytes. A single waiting request may exceed it. */
  readonly queueBytes: number
  /**
   * How long a request may wait for a free place while the target is awake, before it gets SCALER_QUEUE_TIMEOUT; 0 = unlimited.
   * The wait for a wake does not count; it has its own limit, `readinessTimeout`.
   */
  readonly queueTimeout: number
  /** If it is greater than `maxReplicas`, it applies. */
  readonly minReplicas: number
  readonly maxReplicas: number
  /** How long a wake may take before the requests waiting for it get SCALER_WAKE_TIMEOUT. Independent of any request timeout. */
  readonly readinessTimeout: number
  /** The time from the release of the last lease until the target is put to sleep. */
  readonly idleTimeout: number
  /** Times at which the target is kept awake with at least one replica, even if it gets no requests. */
  readonly warmWindows?: readonly WarmWindow[] | undefined
  /** Used while `maxReplicas` is greater than 1. Fields that are not set have Knative's defaults. */
  readonly scaling?: Settings<ScalingPolicy> | undefined
}

/** The target is awake during every minute that matches the pattern: `* 8-17 * * 1-5` is 8:00 to 18:00 from Monday to Friday. */
export interface WarmWindow {
  /** The five cron fields: minute, hour, day of the month, month, day of the week. */
  readonly cron: string
  /** An IANA time zone name. Default: UTC. */
  readonly timeZone?: string | undefined
}

/**
 * How a request to an endpoint failed: `refused` (no connection), `reset` (connection closed before a response) or `timeout`. The
 * endpoint is probed (see `Driver.probe`): if it answers, it is kept; if it hangs, other endpoints are preferred; if it is gone,
 * it is replaced.
 */
export type EndpointFault = 'refused' | 'reset' | 'timeout'

/** A driver's report on one target. `ready` lists all ready endpoints; a `failure` ends the wake immediately. */
export interface TargetState {
  readonly ready: readonly Endpoint[]
  readonly failure?: Failure | undefined
  readonly phases?: readonly Phase[] | undefined
}

/** Options of one `Driver.scale` call. */
export interface ScaleOptions {
  /**
   * Aborts when the call has no purpose any more: its wake has failed or timed out, a call without a wake has taken 30 s, or the
   * activator has closed. The driver should then settle the call. The next call for the target waits for that.
   */
  readonly signal: AbortSignal
  /**
   * Ids of endpoints that no request uses any more, because they are not needed or are dead although the driver reports them
   * as ready. The driver stops all of them, and starts others if fewer than `replicas` remain: with an unchanged `replicas`
   * they are replaced. If more than `replicas` remain, the driver then stops replicas that are not ready yet, and no other
   * ready replica. A driver that cannot choose which replicas stop must let them finish their open requests.
   */
  readonly remove?: readonly string[] | undefined
}

/**
 * Starts and stops the replicas of targets. Implementations: process, kubernetes, fake, or your own.
 *
 * The driver replaces a replica that ends by itself while others are ready, after a delay that grows if replicas end again and
 * again. If none is ready, it reports a `failure` and starts nothing before the next `scale`.
 */
export interface Driver {
  readonly name: string
  /**
   * Sets the number of replicas. Idempotent. Resolves when the call is accepted, not when the replicas are ready. A call with
   * the same number starts missing replicas at once, also those that wait for their restart. After `scale(key, 0)` followed by
   * `scale(key, 1)`, no earlier endpoint is ready. A driver whose reports may arrive late resolves
   * to the ids of all endpoints that it stops, including ones it has not reported yet: the activator ignores later reports
   * on them. Rejects when the target cannot be scaled.
   */
  scale(key: TargetKey, replicas: number, options: ScaleOptions): Promise<void | readonly string[]>
  /** Reports the complete ready set of every known target immediately, then the set of a target whenever it changes. */
  watch(onChange: (key: TargetKey, state: TargetState) => void): Promise<AsyncDisposable>
  /**
   * Whether the reports are up to date: false while the driver's own watch is broken. Only asked while the coordination store does
   * not answer. If both are broken, requests wait, because an endpoint may have been stopped and its address given to another
   * target. Must be synchronous and cheap. Without this method, the reports count as up to date.
   */
  isCurrent?(): boolean
  /**
   * Whether the endpoint answers, with any HTTP status: an app that answers 500 need not be replaced. Called for an endpoint at
   * which a request has failed. False, or a rejection with ECONNREFUSED, ECONNRESET or ENOENT, means that the endpoint is gone;
   * any other rejection, that it cannot be reached. It is replaced if that remains so for a quarter of a second, or for seven
   * seconds. If the call has not settled after a second, when the signal aborts, the endpoint hangs, and is kept. Without this
   * method, the activator tries to connect to the endpoint.
   */
  probe?(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
}

/** Permission to send one request to an endpoint. The caller holds it until the response, stream or socket has ended. */
export interface Lease extends Disposable {
  readonly endpoint: Endpoint
  /** Set if the request waited for a wake. `waited` in ms. */
  readonly coldStart?: { readonly waited: number; readonly phases: readonly Phase[] }
  /** Idempotent. */
  release(): void
}

/** The state of a target: asleep → waking → awake → draining → asleep. */
export type TargetPhase = 'asleep' | 'waking' | 'awake' | 'draining'

/** A snapshot of a target. */
export interface TargetStats {
  readonly phase: TargetPhase
  readonly inFlight: number
  readonly queued: number
  readonly endpoints: number
  /** The number of replicas last requested from the driver; 0 while the target is asleep. */
  readonly replicas: number
  readonly generation: number
  /** Set after a failed wake, until the next wake begins or the target is forgotten, one second later. */
  readonly failure?: Failure
  readonly phases: readonly Phase[]
  /** When the target was last used, in ms of the activator's clock. Set while the target is awake and unused. */
  readonly idleSince?: number
}

/** Options of one `acquire` call. */
export interface AcquireOptions {
  readonly signal?: AbortSignal | undefined
  /** The declared body size in bytes. Counts towards `queueBytes` while the request waits. */
  readonly bytes?: number | undefined
  /** Overrides the policy's `queueTimeout` for this request. */
  readonly queueTimeout?: number | undefined
}

/** Grants leases for requests, and wakes, puts to sleep and retires targets. */
export interface Activator {
  /**
   * Waits for a lease at a ready endpoint, and wakes the target if it is asleep. Rejects with a ScalerError or the signal's
   * reason. The wait does not keep the process alive: if the driver does not either, the program may end in it.
   */
  acquire(key: TargetKey, options?: AcquireOptions): Promise<Lease>
  /**
   * Wakes the target ahead of its first request, and resolves when it is awake; immediately if it is. The idle timeout begins
   * then. Rejects as `acquire` does.
   */
  wake(key: TargetKey, options?: AcquireOptions): Promise<void>
  /** Returns a lease immediately, or undefined if `acquire` would have to wait or reject. For the hot path. */
  tryAcquire(key: TargetKey): Lease | undefined
  /** Undefined if the activator keeps no state of the target: it is asleep and nothing waits for it. */
  stats(key: TargetKey): TargetStats | undefined
  /** Every target of which the activator keeps state (see `stats`), for gauges. */
  targets(): Iterable<[TargetKey, TargetStats]>
  /**
   * Applies the target's current policy. Call this for targets that are kept awake (`minReplicas`, `warmWindows`), at the start
   * and whenever their policy changes. Other targets do not need it.
   */
  refresh(key: TargetKey): void
  /** Puts a target to sleep now. Resolves to false, without doing so, if the target is in use or must be kept awake. */
  sleep(key: TargetKey): Promise<boolean>
  /**
   * Retires a target: grants no new leases (SCALER_RETIRED), waits until all leases are released or the signal aborts, then scales
   * the target to zero and drops its state. Nothing of it is remembered then: a later request for the key would wake it again.
   */
  retire(key: TargetKey, options?: { signal?: AbortSignal | undefined }): Promise<void>
  /** Reports that a request failed at the endpoint of its lease, before or after its release. Unknown endpoints are ignored. */
  report(key: TargetKey, endpointId: string, fault: EndpointFault): void
  /** Refuses new requests and waits until all leases are released or the signal aborts. Never scales down. */
  close(options?: { signal?: AbortSignal | undefined }): Promise<void>
}
