import { Alarm } from './alarm.ts'
import { Autoscaler, scalingOf } from './autoscaler.ts'
import type { Clock } from './clock.ts'
import { ConcurrencyMeter } from './meter.ts'
import type { EndpointSet } from './picker.ts'
import type { Stake } from './stake.ts'
import type { TargetPolicy } from './types.ts'

/** Between two decisions; Knative's tick. */
const TICK = 2_000

/** What the replicas of a target need of it. */
export interface ReplicasHost {
  readonly clock: Clock
  readonly endpoints: EndpointSet
  readonly stake: Stake
  policy(): TargetPolicy
  /** Requests in flight and waiting. */
  load(): number
  /** Replicas that the policy keeps awake though nobody uses them. */
  kept(): number
  /** Other endpoints rest than before: the capacity has changed. */
  rested(): void
  /** Queued behind the scale calls before it; rejects when the driver does. */
  scale(replicas: number, remove: readonly string[]): Promise<void>
  scaled(change: { from: number; to: number }): void
  failed(error: Error): void
}

/**
 * How many replicas a target has between its wake and its sleep. More are asked for at once; fewer come about in two
 * steps, so that no request is cut: the ones least needed get no new leases, and are stopped when their last one is back.
 */
export class Replicas {
  readonly #host: ReplicasHost
  readonly #tick: Alarm
  #meter: ConcurrencyMeter | undefined
  #autoscaler = new Autoscaler()
  /** Endpoints that nobody uses any more, until the driver has been told so. */
  #toStop: string[] = []
  /** What the driver was last asked for; 0 while the target is asleep. */
  #wanted = 0

  constructor(host: ReplicasHost) {
    this.#host = host
    this.#tick = new Alarm(host.clock)
  }

  get wanted(): number {
    return this.#wanted
  }

  /** For a wake, or a target that is found awake: how many to begin with. */
  begin(ready: number): number {
    const decided = Math.min(this.#host.stake.replicas, this.#most())
    this.#wanted = Math.max(1, this.#host.kept(), ready, decided)
    this.#autoscaler = new Autoscaler()
    this.#meter = undefined
    this.#watch()
    return this.#wanted
  }

  end(): void {
    this.#wanted = 0
    this.#toStop = []
    this.#meter = undefined
    this.#tick.stop()
  }

  /** A request came or has ended. */
  loadChanged(): void {
    this.#meter?.set(this.#host.load())
  }

  /** The policy or the load may want another number: decides now. */
  decide(): void {
    if (this.#wanted === 0) return
    const { stake, endpoints } = this.#host
    const wish = this.#wish()
    if (stake.leads) this.#pursue(wish)
    else {
      stake.report({ load: this.#host.load(), quiet: endpoints.rested })
      this.#wanted = stake.replicas
    }
    this.#watch()
  }

  #wish(): number {
    const { clock, endpoints, stake } = this.#host
    const policy = this.#host.policy()
    const least = Math.max(1, this.#host.kept())
    if (!this.#meter) return least
    const scaling = scalingOf(policy)
    const wish = this.#autoscaler.decide(
      {
        now: clock.now(),
        ready: endpoints.size,
        stable: this.#meter.average(scaling.stableWindow) + stake.othersLoad,
        panic: this.#meter.average(scaling.panicWindow) + stake.othersLoad,
      },
      policy,
    )
    return Math.max(least, Math.min(wish, this.#most()))
  }

  #pursue(wish: number): void {
    const { endpoints, stake } = this.#host
    const resting = endpoints.leastNeeded(Math.max(0, endpoints.size - wish))
    if (endpoints.rest(new Set(resting))) this.#host.rested()
    const free = endpoints.rested
    // Those that are not ready yet are given up at once; of the ready ones, those that nobody uses any more.
    const next = Math.max(wish, Math.min(this.#wanted, endpoints.size))
    stake.report({ load: this.#host.load(), quiet: free, lead: { replicas: next, resting } })
    if (next !== this.#wanted) this.#scale(next)
    if (free.length === 0) return
    const removed = stake.remove(free)
    if (!(removed instanceof Promise)) return this.#stop(removed)
    removed.then(
      (ids) => this.#stop(ids),
      (error: Error) => this.#host.failed(error),
    )
  }

  #stop(ids: readonly string[]): void {
    if (this.#wanted === 0 || ids.length === 0) return
    for (const id of ids) this.#host.endpoints.drop(id)
    this.#host.rested()
    this.#toStop.push(...ids)
    this.#scale(Math.max(1, this.#wanted - ids.length))
  }

  #scale(to: number): void {
    const from = this.#wanted
    const remove = [...this.#toStop]
    this.#wanted = to
    this.#host.scaled({ from, to })
    this.#host.scale(to, remove).then(
      () => {
        this.#toStop = this.#toStop.filter((id) => !remove.includes(id))
      },
      (error: Error) => {
        // The driver has what it had: the next decision starts from there.
        if (this.#wanted === to) this.#wanted = from
        this.#host.failed(error)
      },
    )
  }

  /** Decisions are made on a clock while the number can change, and not where it is fixed. */
  #watch(): void {
    const least = Math.max(1, this.#host.kept())
    if (this.#most() <= least && this.#wanted <= least) {
      this.#tick.stop()
      return
    }
    this.#meter ??= this.#newMeter()
    if (!this.#tick.armed) this.#tick.set(TICK, () => this.decide())
  }

  #newMeter(): ConcurrencyMeter {
    const { stableWindow, panicWindow } = scalingOf(this.#host.policy())
    const meter = new ConcurrencyMeter(this.#host.clock, Math.max(stableWindow, panicWindow))
    meter.set(this.#host.load())
    return meter
  }

  #most(): number {
    return Math.max(1, this.#host.policy().maxReplicas)
  }
}
