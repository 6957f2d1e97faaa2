/**
 * The lock on a target that several activators may use. An activator that sends requests to the target holds a shared lock:
 * while any shared lock is held, no activator can put the target to sleep. To put it to sleep, an activator holds the lock
 * exclusively. `coordination/target-lock.ts` keeps the lock in a store that the activators share; `LocalTargetLock` is for a
 * single activator.
 */
export interface TargetLock {
  /**
   * Called before a request is admitted. If the whole process was stopped for a while, others may have taken the lock over:
   * `hasShare` is then false until this activator knows.
   */
  check(): void
  /** The store does not answer, or others may no longer respect this activator's locks. */
  readonly isCutOff: boolean
  /** Whether this activator holds a shared lock, and so may send requests. */
  readonly hasShare: boolean
  /**
   * Acquires a shared lock; returns undefined if this activator already holds one. Waits while another activator puts the
   * target to sleep. Rejects when the target is retired, and after `cancel`.
   */
  acquireShared(): Promise<void> | undefined
  /** Rejects a pending `acquireShared`. */
  cancel(): void
  /**
   * Acquires the exclusive lock if no other activator holds the lock. Otherwise resolves to false; this activator has then
   * lost its shared lock as well.
   */
  tryExclusive(): boolean | Promise<boolean>
  /**
   * Tells all activators that the target is retired, and waits until no other activator holds the lock, or the signal aborts.
   * Resolves to whether another activator held it.
   */
  retire(signal?: AbortSignal): boolean | Promise<boolean>
  /** Releases the lock. `stopped`: endpoints that a scale-down has stopped; no activator may use them any more. */
  release(stopped?: readonly string[]): Promise<void> | undefined
  /** Releases the lock for the last time, because the activator drops the state of the target. */
  dispose(): void

  /** Whether this activator is the leader: the only one that decides the number of replicas and requests them from the driver. */
  readonly leads: boolean
  /** The number of replicas that the current or an earlier leader last decided on. */
  readonly replicas: number
  /**
   * Publishes the number of requests of this activator and the draining endpoints that it no longer uses; `lead` is the
   * decision of the leader. Resolves to whether this activator leads: only then may it carry out the decision.
   */
  report(report: LoadReport): boolean | Promise<boolean>
  /**
   * Called before draining endpoints are stopped. Resolves to the endpoints among them that no activator uses; from then on
   * no activator may use these.
   */
  remove(endpoints: readonly string[]): readonly string[] | Promise<readonly string[]>
  /** The total number of requests, in flight and waiting, of the other activators. */
  readonly othersLoad: number
  /** Endpoints that get no new requests from any activator, by decision of the leader. */
  readonly draining: ReadonlySet<string>
  /** Endpoints that have been stopped and must never be used again, although the driver may still report them. */
  readonly terminated: ReadonlySet<string>
  /** Endpoints that some activator has found dead. It may be wrong: perhaps only that activator cannot reach them. */
  readonly dead: readonly string[]
  /** Tells all activators that this endpoint does not exist any more, although the driver reports it; or, later, that it does. */
  reportDead(endpointId: string, isDead: boolean): void

  /**
   * How many requests this activator may have at one endpoint. `concurrency` is the limit of the endpoint for all activators
   * together.
   */
  places(endpointId: string, concurrency: number): number
  /** Requests missing places, and gives unused ones to activators that wait for places. Called when the demand has changed. */
  balance(): void
  /** Gives the place of a request that has just ended to another activator if one waits. Returns whether it did. */
  handsOver(endpointId: string): boolean
}

export interface LoadReport {
  readonly load: number
  readonly drained: readonly string[]
  readonly lead?: { readonly replicas: number; readonly draining: readonly string[] }
}

/** Callbacks from the lock to its target. */
export interface TargetLockEvents {
  /** The shared lock, the places, or the draining, terminated or dead endpoints have changed. */
  changed(): void
  /** Another activator retires the target. */
  retired(): void
  demand(): Demand
}

/** What one activator currently needs of a target. */
export interface Demand {
  /** The endpoints that get new requests. */
  readonly endpoints: readonly string[]
  /** The limit per endpoint for all activators together. Infinity = unlimited; places are not counted then. */
  readonly concurrency: number
  /** The number of held leases by endpoint. */
  readonly load: Readonly<Record<string, number>>
  readonly waiting: number
}

const NONE: ReadonlySet<string> = new Set()

/** The lock for a single activator: nobody else uses its targets. */
export class LocalTargetLock implements TargetLock {
  readonly hasShare = true
  readonly isCutOff = false
  readonly leads = true
  readonly othersLoad = 0
  replicas = 1
  draining = NONE
  readonly terminated = NONE
  readonly dead: readonly string[] = []

  check(): void {}
  acquireShared(): undefined {}
  cancel(): void {}
  tryExclusive(): boolean {
    return true
  }
  retire(): boolean {
    return false
  }
  release(): undefined {
    this.replicas = 1
    this.draining = NONE
  }
  dispose(): void {}
  report({ lead }: LoadReport): boolean {
    if (lead) {
      this.replicas = lead.replicas
      this.draining = new Set(lead.draining)
    }
    return true
  }
  remove(endpoints: readonly string[]): readonly string[] {
    return endpoints
  }
  reportDead(): void {}
  places(_endpointId: string, concurrency: number): number {
    return concurrency
  }
  balance(): void {}
  handsOver(): boolean {
    return false
  }
}
