import { Alarm } from '../../alarm.ts'
import type { Clock } from '../../clock.ts'
import type { Endpoint, Failure, Phase, TargetState } from '../../types.ts'

export interface ReplicaHooks {
  /** The replica has reached a phase or is ready. */
  progress(): void
  /** The replica has ended by itself. Called at most once, never during the call of `start`. */
  ended(failure: Failure): void
}

/** The parts of a replica that a replica set uses. */
export interface StartedReplica {
  readonly id: string
  /** Set when the replica is ready. */
  readonly endpoint: Endpoint | undefined
  readonly phases: readonly Phase[]
  stop(): void
}

export interface ReplicaSetDeps<R extends StartedReplica> {
  readonly clock: Clock
  start(hooks: ReplicaHooks): R
  report(state: TargetState): void
}

/** ms until a replica that ended by itself is replaced. Doubled each time a replica ends, up to the maximum. */
const RESTART_DELAY = 1_000
const MAX_RESTART_DELAY = 60_000
/** ms without the end of a replica after which the restart delay is reset. */
const CALM = 10 * 60_000

/**
 * Keeps one target at the wanted number of replicas as long as at least one of them is ready: a replica that ends by itself is
 * replaced after a growing delay, or at the next `scale`. If a replica ends while no other is ready, the target has failed:
 * nothing is started before the next `scale`, so that a crashing app is not restarted when nobody needs it.
 */
export class ReplicaSet<R extends StartedReplica> {
  readonly #deps: ReplicaSetDeps<R>
  /** Oldest first. */
  readonly #replicas: R[] = []
  readonly #restart: Alarm
  #wanted = 0
  #ends = 0
  #lastEnd = -Infinity

  constructor(deps: ReplicaSetDeps<R>) {
    this.#deps = deps
    this.#restart = new Alarm(deps.clock)
  }

  get size(): number {
    return this.#replicas.length
  }

  get state(): TargetState {
    const ready = this.#replicas.flatMap(({ endpoint }) => endpoint ?? [])
    const oldest = this.#replicas.find(({ endpoint }) => endpoint) ?? this.#replicas[0]
    return { ready, ...(oldest ? { phases: [...oldest.phases] } : {}) }
  }

  /**
   * Sets the wanted number of replicas. Stops those in `remove` and then, if there are too many, replicas that are not ready yet,
   * the newest first. Other ready replicas keep running, unless `wanted` is 0. Starts missing replicas at once. Returns the ids
   * of the stopped replicas.
   */
  scale(wanted: number, remove: readonly string[] = []): string[] {
    this.#wanted = wanted
    this.#restart.stop()
    const stopped = wanted === 0 ? [...this.#replicas] : this.#surplus(remove)
    this.#stop(stopped)
    this.#fill()
    if (stopped.length > 0) this.#deps.report(this.state)
    return stopped.map(({ id }) => id)
  }

  #surplus(remove: readonly string[]): R[] {
    const named = this.#replicas.filter(({ id }) => remove.includes(id))
    const starting = this.#replicas
      .filter((replica) => !replica.endpoint && !named.includes(replica))
      .reverse()
    const excess = this.#replicas.length - named.length - this.#wanted
    return [...named, ...starting.slice(0, Math.max(0, excess))]
  }

  #fill(): void {
    while (this.#replicas.length < this.#wanted) this.#start()
  }

  #start(): void {
    const replica = this.#deps.start({
      progress: () => {
        if (this.#replicas.includes(replica)) this.#deps.report(this.state)
      },
      ended: (failure) => this.#ended(replica, failure),
    })
    this.#replicas.push(replica)
  }

  #stop(replicas: readonly R[]): void {
    for (const replica of replicas) {
      this.#drop(replica)
      replica.stop()
    }
  }

  #ended(replica: R, failure: Failure): void {
    if (!this.#drop(replica)) return
    if (this.state.ready.length > 0) {
      if (!this.#restart.armed) this.#restart.set(this.#delay(), () => this.#fill())
      this.#deps.report(this.state)
      return
    }
    this.#wanted = 0
    this.#restart.stop()
    this.#stop([...this.#replicas])
    this.#deps.report({ ready: [], failure })
  }

  /** Returns whether the replica was in the set. */
  #drop(replica: R): boolean {
    const at = this.#replicas.indexOf(replica)
    if (at >= 0) this.#replicas.splice(at, 1)
    return at >= 0
  }

  #delay(): number {
    const now = this.#deps.clock.now()
    this.#ends = now - this.#lastEnd > CALM ? 0 : this.#ends + 1
    this.#lastEnd = now
    return Math.min(RESTART_DELAY * 2 ** this.#ends, MAX_RESTART_DELAY)
  }
}
