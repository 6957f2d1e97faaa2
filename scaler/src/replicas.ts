import { Alarm } from './alarm.ts'
import { Autoscaler, scalingOf } from './autoscaler.ts'
import type { Clock } from './clock.ts'
import { ConcurrencyMeter } from './meter.ts'
import type { EndpointSet } from './picker.ts'
import type { TargetLock } from './target-lock.ts'
import type { TargetPolicy } from './types.ts'

/** Between two decisions; Knative's tick. */
const TICK = 2_000

/** What the replicas of a target need of it. */
export interface ReplicasHost {
  readonly clock: Clock
  readonly endpoints: EndpointSet
  readonly lock: TargetLock
  policy(): TargetPolicy
  /** Requests in flight and waiting. */
  load(): number
  /** Replicas that the policy keeps awake though nobody uses them. */
  keptWarm(): number
  /** Other endpoints drain than before: the capacity has changed. */
  drainingChanged(): void
  /** The driver's scale call itself. */
  scale(replicas: number, remove: readonly string[]): Promise<unknown>
  /** Runs a scale call behind those before it. */
  enqueue(scale: () => Promise<void>): Promise<void>
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
  #started = false
  /** Answers of the lock that are still pending. */
  #asking = 0
  /** What the driver was last asked for; 0 while the target is asleep. */
  #wanted = 0

  constructor(host: ReplicasHost) {
    this.#host = host
    this.#tick = new Alarm(host.clock)
  }

  get wanted(): number {
    return this.#wanted
  }

  /** Whether the driver has been asked for the replicas of this life. */
  get started(): boolean {
    return this.#started
  }

  /** A wake begins, or a target is found awake with this many that are ready. */
  begin(ready: number): void {
    const decided = Math.min(this.#host.lock.replicas, this.#most())
    this.#wanted = Math.max(1, this.#host.keptWarm(), ready, decided)
    this.#autoscaler = new Autoscaler()
    this.#meter = undefined
    this.#started = ready > 0
    this.#watch()
  }

  /**
   * Asks the driver for those of a wake, once and if it is this activator's to ask. In its turn among scale calls.
   */
  async start(): Promise<void> {
    const { lock } = this.#host
    if (this.#started || this.#wanted === 0 || !lock.leads) return
    const replicas = Math.max(this.#wanted, lock.replicas)
    const leads = lock.report({ load: this.#host.load(), drained: [], lead: { replicas, draining: [] } })
    // Should that fail it has been told, and is tried again at the next news.
    if (leads !== true && (leads === false || !(await leads.catch(() => false)))) return
    if (this.#started || this.#wanted === 0) return
    this.#started = true
    this.#wanted = replicas
    await this.#host.scale(replicas, [])
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
    this.#watch()
    // What was decided before is not yet agreed on: with a slow coordination, decisions must not pile up.
    if (this.#asking > 0) return
    const { lock, endpoints } = this.#host
    const wish = this.#wish()
    if (lock.leads) this.#pursue(wish)
    else {
      this.#when(lock.report({ load: this.#host.load(), drained: endpoints.drained }), () => undefined)
      this.#wanted = lock.replicas
    }
  }

  #wish(): number {
    const { clock, endpoints, lock } = this.#host
    const policy = this.#host.policy()
    const least = Math.max(1, this.#host.keptWarm())
    if (!this.#meter) return least
    const scaling = scalingOf(policy)
    const wish = this.#autoscaler.decide(
      {
        now: clock.now(),
        ready: endpoints.size,
        stable: this.#meter.average(scaling.stableWindow) + lock.othersLoad,
        panic: this.#meter.average(scaling.panicWindow) + lock.othersLoad,
      },
      policy,
    )
    return Math.max(least, Math.min(wish, this.#most()))
  }

  #pursue(wish: number): void {
    const { endpoints, lock } = this.#host
    // A leader before this one may have asked for more than it had time to say.
    this.#wanted = Math.max(this.#wanted, endpoints.size)
    const draining = endpoints.leastNeeded(Math.max(0, endpoints.size - wish))
    if (endpoints.setDraining(new Set(draining))) this.#host.drainingChanged()
    const free = endpoints.drained
    // Those that are not ready yet are given up at once; of the ready ones, those that nobody uses any more.
    const next = Math.max(wish, Math.min(this.#wanted, endpoints.size))
    const leads = lock.report({ load: this.#host.load(), drained: free, lead: { replicas: next, draining } })
    this.#when(leads, (mine) => mine && this.#scale(next))
    if (free.length > 0) this.#when(lock.remove(free), (ids) => this.#stop(ids))
  }

  /** At once where there is nobody to ask. */
  #when<T>(answer: T | Promise<T>, act: (answer: T) => unknown): void {
    if (!(answer instanceof Promise)) return void act(answer)
    this.#asking++
    answer
      .then(
        (value) => this.#wanted > 0 && act(value),
        // The lock has told of it; it is asked again at the next tick.
        () => undefined,
      )
      .finally(() => this.#asking--)
  }

  #stop(ids: readonly string[]): void {
    if (ids.length === 0) return
    for (const id of ids) this.#host.endpoints.drop(id)
    this.#host.drainingChanged()
    this.#toStop.push(...ids)
    this.#scale(Math.max(1, this.#wanted - ids.length))
  }

  #scale(to: number): void {
    const from = this.#wanted
    if (to === from) return
    const remove = [...this.#toStop]
    this.#wanted = to
    this.#host.scaled({ from, to })
    this.#host
      .enqueue(async () => void (await this.#host.scale(to, remove)))
      .then(
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
    const least = Math.max(1, this.#host.keptWarm())
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
