/**
 * The lock on a target that several activators may use. Activators that send requests hold it shared: while any of them does,
 * nobody puts the target to sleep. Whoever puts it to sleep holds it exclusively. `coordination/target-lock.ts` keeps it in a
 * store that the activators share; `LocalTargetLock` is that of an activator without others.
 */
export interface TargetLock {
  /** Whether this activator holds the lock shared: it may send requests. */
  readonly hasShare: boolean
  /**
   * Acquires the lock shared; undefined when this activator holds it already. Waits while another activator puts the target to
   * sleep. Rejects when the target is retired, and after `cancel`.
   */
  acquireShared(): Promise<void> | undefined
  /** Ends an `acquireShared` that still waits. */
  cancel(): void
  /**
   * Acquires the lock exclusively if no other activator holds it. Otherwise resolves to false, and this activator holds
   * nothing afterwards.
   */
  tryExclusive(): boolean | Promise<boolean>
  /**
   * Tells all activators that the target is retired, and waits until no other holds the lock, or the signal aborts. Resolves to
   * whether another held it.
   */
  retire(signal?: AbortSignal): boolean | Promise<boolean>
  /** Releases the lock. No activator uses the endpoints in `stopped` any more: they were stopped by a scale-down. */
  release(stopped?: readonly string[]): Promise<void> | undefined
  /** Releases the lock for good: the target is forgotten. */
  dispose(): void

  /** Whether this activator decides how many replicas there are: it alone asks the driver for any. */
  readonly leads: boolean
  /** Replicas that were last decided on, by whoever. */
  readonly replicas: number
  /**
   * Tells how many requests this one has, and which of the draining endpoints it uses no more; with `lead`, what is
   * decided. True when it leads: only then may it be done.
   */
  report(report: LoadReport): boolean | Promise<boolean>
  /** Called before draining endpoints are stopped. Resolves to those of them that no activator uses; from then on none may use them. */
  remove(endpoints: readonly string[]): readonly string[] | Promise<readonly string[]>
  /** Requests that the others have, together. */
  readonly othersLoad: number
  /** Endpoints that get no new requests from anybody, as whoever leads says. */
  readonly draining: ReadonlySet<string>
  /** Endpoints that have been stopped: never to be used again, though the driver may still report them. */
  readonly terminated: ReadonlySet<string>

  /** How many requests this one may have at an endpoint that takes `concurrency` of all together. */
  places(endpointId: string, concurrency: number): number
  /** Asks for places, gives back unused ones that others wait for. Called when the demand has changed. */
  balance(): void
  /** Whether the place of a request that has just ended goes to another activator. */
  handsOver(endpointId: string): boolean
}

export interface LoadReport {
  readonly load: number
  readonly drained: readonly string[]
  readonly lead?: { readonly replicas: number; readonly draining: readonly string[] }
}

/** What the lock tells its target, and asks it. */
export interface TargetLockEvents {
  /** The share, the places, or the draining or terminated endpoints have changed. */
  changed(): void
  /** Another activator retires the target. */
  retired(): void
  demand(): Demand
}

export interface Demand {
  /** Those that do not drain. */
  readonly endpoints: readonly string[]
  /** Per endpoint, for all activators together. Infinity = unlimited: places are not counted then. */
  readonly concurrency: number
  /** Leases out by endpoint. */
  readonly load: Readonly<Record<string, number>>
  readonly waiting: number
}

const NONE: ReadonlySet<string> = new Set()

/** Of an activator that has its targets to itself. */
export class LocalTargetLock implements TargetLock {
  readonly hasShare = true
  readonly leads = true
  readonly othersLoad = 0
  replicas = 1
  draining = NONE
  readonly terminated = NONE

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
  places(_endpointId: string, concurrency: number): number {
    return concurrency
  }
  balance(): void {}
  handsOver(): boolean {
    return false
  }
}
