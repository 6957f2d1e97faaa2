import { Alarm } from '../../alarm.ts'
import type { Clock } from '../../clock.ts'
import type { Endpoint, Failure, Phase, TargetState } from '../../types.ts'

export interface ReplicaHooks {
  /** A phase was reached, or it is ready. */
  progress(): void
  /** It has ended though it was not told to stop. Called at most once, never while it is being made. */
  ended(failure: Failure): void
}

/** What a set needs of the replicas that are started for it. */
export interface StartedReplica {
  readonly id: string
  /** Once it is ready. */
  readonly endpoint: Endpoint | undefined
  readonly phases: readonly Phase[]
  stop(): void
}

export interface ReplicaSetDeps<R extends StartedReplica> {
  readonly clock: Clock
  start(hooks: ReplicaHooks): R
  say(state: TargetState): void
}

/** Until a replica that ended is replaced, ms: doubled with each one that ends, up to the maximum. */
const RESTART_DELAY = 1_000
const MAX_RESTART_DELAY = 60_000
/** After this long without an end, ms, the next one is the first again. */
const CALM = 10 * 60_000

/**
 * Keeps one target at the wanted number of replicas for as long as one of them is ready. When the last one ends by
 * itself, or the first before it was ready, the target is down: nothing is started again before it is asked for, so that
 * an app that crashes is not started for nobody.
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

  /** Of too many, stops those that are not ready yet, the newest first, then those named; ready ones that are not stay. Returns the ids of the stopped. */
  scale(wanted: number, remove: readonly string[] = []): string[] {
    this.#wanted = wanted
    if (wanted === 0) this.#restart.stop()
    const excess = Math.max(0, this.#replicas.length - wanted)
    const starting = this.#replicas.filter(({ endpoint }) => !endpoint).reverse()
    const named = this.#replicas.filter(({ id, endpoint }) => endpoint && remove.includes(id))
    const stopped = wanted === 0 ? [...this.#replicas] : [...starting, ...named].slice(0, excess)
    this.#stop(stopped)
    if (stopped.length > 0) this.#deps.say(this.state)
    this.#fill()
    return stopped.map(({ id }) => id)
  }

  #fill(): void {
    // One that crashed is being waited for.
    if (this.#restart.armed) return
    while (this.#replicas.length < this.#wanted) this.#start()
  }

  #start(): void {
    const replica = this.#deps.start({
      progress: () => {
        if (this.#replicas.includes(replica)) this.#deps.say(this.state)
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
      this.#deps.say(this.state)
      return
    }
    this.#wanted = 0
    this.#restart.stop()
    this.#stop([...this.#replicas])
    this.#deps.say({ ready: [], failure })
  }

  /** Whether it was there. */
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
