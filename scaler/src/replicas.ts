import { Alarm } from './alarm.ts'
import { Autoscaler, scalingOf } from './autoscaler.ts'
import type { Clock } from './clock.ts'
import { LoadMeter } from './meter.ts'
import type { EndpointSet } from './picker.ts'
import type { TargetLock } from './target-lock.ts'
import type { ScalingPolicy, TargetPolicy } from './types.ts'

/** Milliseconds between two scaling decisions, as in Knative. */
const TICK = 2_000
/** ms for which replicas may be missing before the driver is asked for them again. */
const ASK_AGAIN = 60_000

/** The parts of a target that `Replicas` uses. */
export interface ReplicasHost {
  readonly clock: Clock
  readonly endpoints: EndpointSet
  readonly lock: TargetLock
  policy(): TargetPolicy
  /** The number of requests in flight and waiting. */
  load(): number
  /** The number of replicas that the policy keeps awake even without requests. */
  keptWarm(): number
  /** The set of draining endpoints has changed, and with it the capacity. */
  drainingChanged(): void
  /** Calls the driver's `scale`. */
  scale(replicas: number, remove: readonly string[]): Promise<unknown>
  /** Runs a scale call after all earlier ones have settled. */
  enqueue(scale: () => Promise<void>): Promise<void>
  scaled(change: { from: number; to: number }): void
  failed(error: Error): void
}

/**
 * Decides how many replicas a target has while it is awake. Additional replicas are requested immediately. The number is
 * reduced in two steps, so that no request is interrupted: the least needed endpoints get no new leases, and are stopped
 * when their last lease has been released.
 */
export class Replicas {
  readonly #host: ReplicasHost
  readonly #tick: Alarm
  #meter: LoadMeter | undefined
  /** Whether the meter counts requests per second. */
  #countsRate = false
  #autoscaler = new Autoscaler()
  /** Unused endpoints that the driver has not yet been asked to stop, and dead ones that it has not been asked to replace. */
  #toStop: string[] = []
  /** The number of pending calls to the driver. */
  #calls = 0
  /** Since when fewer endpoints than wanted are ready. */
  #missingSince: number | undefined
  /** Until when a wake's activation scale is kept, as in the clock's `now`. */
  #activeUntil = 0
  #started = false
  /** The number of pending calls to the lock. */
  #asking = 0
  /** The number of replicas last requested from the driver; 0 while the target is asleep. */
  #wanted = 0

  constructor(host: ReplicasHost) {
    this.#host = host
    this.#tick = new Alarm(host.clock)
  }

  get wanted(): number {
    return this.#wanted
  }

  /** Whether the driver has been asked for the replicas of the current generation. */
  get started(): boolean {
    return this.#started
  }

  /** Called when a wake begins, or when a target is found to be awake already, with `ready` endpoints. */
  begin(ready: number): void {
    const decided = Math.min(this.#host.lock.replicas, this.#most())
    this.#activeUntil = ready === 0 ? this.#host.clock.now() + this.#scaling.stableWindow : 0
    this.#wanted = Math.max(this.#least(), ready, decided)
    this.#autoscaler = new Autoscaler()
    this.#meter = undefined
    this.#started = ready > 0
    this.#watch()
  }

  /** Asks the driver for the replicas of a wake: only once, and only if this activator leads. Runs inside the scale queue. */
  async start(): Promise<void> {
    const { endpoints, lock } = this.#host
    if (this.#started || this.#wanted === 0 || !lock.leads) return
    const replicas = Math.max(this.#wanted, Math.min(lock.replicas, this.#most()))
    // Dead endpoints that could not be stopped with the last generation, because another activator used them.
    const { unused } = endpoints.dead
    const lead = { replicas, draining: unused }
    const leads = lock.report({ load: this.#load(), drained: unused, lead })
    // If the report fails, the lock has reported the error, and the start is retried when the lock next changes.
    if (leads !== true && (leads === false || !(await leads.catch(() => false)))) return
    const free = unused.length > 0 ? await lock.remove(unused) : []
    if (this.#started || this.#wanted === 0) return
    this.#started = true
    this.#wanted = replicas
    await this.#host.scale(replicas, free)
  }

  end(): void {
    this.#wanted = 0
    this.#toStop = []
    this.#missingSince = undefined
    this.#meter = undefined
    this.#tick.stop()
  }

  /** Called when a request arrives. */
  arrived(): void {
    if (this.#countsRate) this.#meter?.arrived()
    else this.#meter?.set(this.#host.load())
  }

  /** Called when requests have ended. */
  loadChanged(): void {
    if (!this.#countsRate) this.#meter?.set(this.#host.load())
  }

  /** Called when the ready endpoints have changed. */
  readyChanged(): void {
    if (this.#wanted > 0) this.#watch()
  }

  /** Decides now, because the policy or the load may require a different number of replicas. */
  decide(): void {
    if (this.#wanted === 0) return
    this.#watch()
    // The previous decision has not been confirmed yet. When the coordination is slow, decisions must not accumulate.
    if (this.#asking > 0) return
    const { lock } = this.#host
    const wish = this.#wish()
    if (lock.leads) this.#pursue(wish)
    else {
      this.#when(lock.report({ load: this.#load(), drained: this.#free() }), () => undefined)
      this.#wanted = lock.replicas
    }
  }

  /** The endpoints that this activator no longer uses. */
  #free(): string[] {
    const { dead, drained } = this.#host.endpoints
    return [...drained, ...dead.unused]
  }

  /** What the other activators add to their own load. */
  #load(): number {
    return this.#countsRate && this.#meter
      ? this.#meter.average(this.#scaling.panicWindow)
      : this.#host.load()
  }

  #wish(): number {
    const { clock, endpoints, lock } = this.#host
    const policy = this.#host.policy()
    const least = this.#least()
    if (!this.#meter) return least
    const scaling = this.#scaling
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
    // The previous leader may have requested more replicas than it had time to record.
    this.#wanted = Math.max(this.#wanted, endpoints.size)
    const draining = endpoints.leastNeeded(Math.max(0, endpoints.size - wish))
    if (endpoints.setDraining(new Set(draining))) this.#host.drainingChanged()
    const { dead } = endpoints
    const free = this.#free()
    const next = this.#next(wish)
    const decision = { replicas: next, draining: [...draining, ...dead.used, ...dead.unused] }
    const leads = lock.report({ load: this.#load(), drained: free, lead: decision })
    // A driver that is told a smaller number stops replicas that start, and with them the replacements of the dead ones.
    this.#when(
      leads,
      (mine) => mine && (dead.unused.length === 0 || next > this.#wanted) && this.#scale(next),
    )
    if (free.length > 0) this.#when(lock.remove(free), (ids) => ids.length > 0 && this.#stop(ids, wish))
    this.#askAgain()
  }

  /** Replicas that are not ready yet are cancelled immediately. Ready ones are stopped only when they are unused. */
  #next(wish: number): number {
    const { size, dead } = this.#host.endpoints
    // Dead ones that still have requests get a replacement beside them.
    return Math.max(wish, Math.min(this.#wanted, size)) + dead.used.length
  }

  /** Repeats the last call if replicas have been missing for long: the driver may have given up on them. */
  #askAgain(): void {
    const { clock, endpoints } = this.#host
    if (endpoints.size === 0 || endpoints.size >= this.#wanted) {
      this.#missingSince = undefined
      return
    }
    this.#missingSince ??= clock.now()
    if (clock.now() - this.#missingSince < ASK_AGAIN) return
    this.#missingSince = clock.now()
    this.#call(this.#wanted, this.#wanted)
  }

  /** Calls `act` with the lock's answer: synchronously if the answer is not a promise. */
  #when<T>(answer: T | Promise<T>, act: (answer: T) => unknown): void {
    if (!(answer instanceof Promise)) return void act(answer)
    this.#asking++
    answer
      .then(
        (value) => this.#wanted > 0 && act(value),
        // The lock has reported the error. The call is repeated at the next tick.
        () => undefined,
      )
      .finally(() => this.#asking--)
  }

  #stop(ids: readonly string[], wish: number): void {
    for (const id of ids) this.#host.endpoints.drop(id)
    this.#host.drainingChanged()
    this.#toStop = [...new Set([...this.#toStop, ...ids])]
    this.#scale(this.#next(wish))
  }

  #scale(to: number): void {
    const from = this.#wanted
    if (to !== from) {
      this.#wanted = to
      this.#host.scaled({ from, to })
    } else if (this.#toStop.length === 0 || this.#calls > 0) return
    this.#call(from, to)
  }

  #call(from: number, to: number): void {
    const remove = [...this.#toStop]
    this.#calls++
    this.#host
      .enqueue(async () => void (await this.#host.scale(to, remove)))
      .then(
        () => {
          this.#toStop = this.#toStop.filter((id) => !remove.includes(id))
        },
        (error: Error) => {
          // The number of replicas has not changed: the next decision starts from the old one.
          if (this.#wanted === to) this.#wanted = from
          this.#host.failed(error)
        },
      )
      .finally(() => this.#calls--)
  }

  /** Starts the decision timer while the number of replicas can change, and stops it when the policy fixes the number. */
  #watch(): void {
    const least = Math.max(1, this.#host.keptWarm())
    const { drained, size } = this.#host.endpoints
    const isShort = size > 0 && size < this.#wanted
    const isSettled = this.#toStop.length === 0 && drained.length === 0 && !isShort
    if (this.#most() <= least && this.#wanted <= least && isSettled) {
      this.#tick.stop()
      return
    }
    // The policy may have changed to the other metric.
    if (!this.#meter || this.#countsRate !== (this.#scaling.targetRate !== undefined))
      this.#meter = this.#newMeter()
    if (!this.#tick.armed) this.#tick.set(TICK, () => this.decide())
  }

  #newMeter(): LoadMeter {
    const { stableWindow, panicWindow } = this.#scaling
    const meter = new LoadMeter(this.#host.clock, Math.max(stableWindow, panicWindow))
    this.#countsRate = this.#scaling.targetRate !== undefined
    if (!this.#countsRate) meter.set(this.#host.load())
    return meter
  }

  /** The number of replicas without any load. */
  #least(): number {
    const isActivating = this.#host.clock.now() < this.#activeUntil
    const activation = isActivating ? Math.min(this.#scaling.activationScale, this.#most()) : 1
    return Math.max(activation, this.#host.keptWarm())
  }

  get #scaling(): ScalingPolicy {
    return scalingOf(this.#host.policy())
  }

  #most(): number {
    return Math.max(1, this.#host.policy().maxReplicas)
  }
}
