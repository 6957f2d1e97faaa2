/**
 * One activator's part in a target that other activators may use as well: a share, which keeps everybody from putting the
 * target to sleep, or the target for itself, to do just that. See src/coordination for the one over a `Coordination`.
 */
export interface Stake {
  /** Whether this activator has a share: requests may be sent. */
  readonly held: boolean
  /** Takes a share; waits while another activator puts the target to sleep. Rejects when the target is retired, or `drop`ped. */
  hold(): Promise<void> | undefined
  /** Ends a `hold` that still waits. */
  drop(): void
  /** Takes the target for itself if nobody else has a share; gives its own up, and false, when somebody has. */
  seize(): boolean | Promise<boolean>
  /**
   * Tells all that the target is retired, and waits until nobody else has a share; not longer than the signal. Whether
   * anybody else had one.
   */
  retire(signal?: AbortSignal): boolean | Promise<boolean>
  /** Gives up whatever it has. After a scale-down nobody may use the endpoints that were stopped by it. */
  free(stopped?: readonly string[]): Promise<void> | undefined
  /** Gives up whatever it has, for good: the target is forgotten. */
  dispose(): void

  /** Whether this activator decides how many replicas there are: it alone asks the driver for any. */
  readonly leads: boolean
  /** Replicas that were last decided on, by whoever. */
  readonly replicas: number
  /**
   * Tells how many requests this one has, and which of the resting endpoints it uses no more; with `lead`, what is
   * decided. True when it leads: only then may it be done.
   */
  report(report: StakeReport): boolean | Promise<boolean>
  /** Before resting endpoints are stopped: those of them that nobody uses, and from then on nobody may. */
  remove(endpoints: readonly string[]): readonly string[] | Promise<readonly string[]>
  /** Requests that the others have, together. */
  readonly othersLoad: number
  /** Endpoints that get no new requests from anybody, as whoever leads says. */
  readonly resting: ReadonlySet<string>
  /** Endpoints of lives that have ended: never to be used again, though the driver's news may be old. */
  readonly condemned: ReadonlySet<string>

  /** How many requests this one may have at an endpoint that takes `concurrency` of all together. */
  places(endpointId: string, concurrency: number): number
  /** Asks for places, gives back unused ones that others wait for. Called when the demand has changed. */
  balance(): void
  /** Whether the place that is just given back has to go to another activator. */
  yields(endpointId: string): boolean
}

export interface StakeReport {
  readonly load: number
  readonly quiet: readonly string[]
  readonly lead?: { readonly replicas: number; readonly resting: readonly string[] }
}

/** What a stake is told of the target, and asks it. */
export interface StakeEvents {
  /** Held or not, places, resting or condemned endpoints are other than before. */
  changed(): void
  /** Another activator retires the target. */
  retired(): void
  demand(): Demand
}

export interface Demand {
  /** Those that are not at rest. */
  readonly endpoints: readonly string[]
  /** Per endpoint, for all activators together. Infinity = unlimited: places are not counted then. */
  readonly concurrency: number
  /** Leases out by endpoint. */
  readonly load: Readonly<Record<string, number>>
  readonly waiting: number
}

const NONE: ReadonlySet<string> = new Set()

/** Of an activator that has its targets to itself. */
export class SoleStake implements Stake {
  readonly held = true
  readonly leads = true
  readonly othersLoad = 0
  replicas = 1
  resting = NONE
  readonly condemned = NONE

  hold(): undefined {}
  drop(): void {}
  seize(): boolean {
    return true
  }
  retire(): boolean {
    return false
  }
  free(): undefined {
    this.replicas = 1
    this.resting = NONE
  }
  dispose(): void {}
  report({ lead }: StakeReport): boolean {
    if (lead) {
      this.replicas = lead.replicas
      this.resting = new Set(lead.resting)
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
  yields(): boolean {
    return false
  }
}
