import { Alarm } from './alarm.ts'
import { IdleClock } from './idle.ts'
import type { TargetParts } from './target-parts.ts'
import type { Wake } from './wake.ts'

/** ms after which a scale-down that failed or was not allowed is retried. */
const RETRY = 3_000

export interface SleepEvents {
  /** The target is awake after all: it was not scaled down. */
  awake(): void
  /** The target is in use again, and needs a shared lock. */
  needed(): void
  /** The target stays awake. */
  postponed(): void
}

/** Puts one target to sleep: when it has been idle for long, when it is asked to, and when it has failed or lost all endpoints. */
export class Sleep {
  readonly #parts: TargetParts
  readonly #wake: Wake
  readonly #events: SleepEvents
  readonly #idle: IdleClock
  /** Retries the scale-down of endpoints that may still run although the target is asleep. */
  readonly #retry: Alarm
  /** This activator retires or closes the target: no timer may put it to sleep any more. */
  #isLast = false

  constructor(parts: TargetParts, wake: Wake, events: SleepEvents) {
    this.#parts = parts
    this.#wake = wake
    this.#events = events
    this.#idle = new IdleClock(
      parts.context.clock,
      () => parts.policy().idleTimeout,
      () => this.#fallAsleep(),
    )
    this.#retry = new Alarm(parts.context.clock)
  }

  /** Whether a scale-down will be tried again. */
  get isPending(): boolean {
    return this.#retry.armed
  }

  /** When the target was last used, in ms of the clock. */
  get idleSince(): number {
    return this.#idle.since
  }

  /** The target is unused from now on. */
  restartIdleTime(): void {
    this.#idle.restart()
    this.watchIdleTime()
  }

  /** Sets the idle timer if the target is unused. */
  watchIdleTime(): void {
    const { admission, keepWarm, lifecycle } = this.#parts
    const isIdle = lifecycle.phase === 'awake' && admission.unused && keepWarm.replicas === 0
    if (isIdle && !this.#isLast) this.#idle.arm()
  }

  /** A wake has begun, or the target is awake: what runs is in use. */
  endRetry(): void {
    this.#retry.stop()
  }

  /** Stops all timers. None is set again. */
  stop(): void {
    this.#isLast = true
    this.#idle.stop()
    this.#retry.stop()
  }

  /** See Activator.sleep. Also resolves to false if a new generation has begun in the meantime. */
  async now(): Promise<boolean> {
    const { admission, context, keepWarm, key, lifecycle, lock } = this.#parts
    const { generation } = lifecycle
    const inUse = (): boolean =>
      lifecycle.generation !== generation ||
      !admission.unused ||
      lifecycle.phase === 'waking' ||
      keepWarm.replicas > 0
    if (inUse()) return false
    if (lifecycle.phase !== 'awake') return true
    const keepAwake = context.keepAwake(key)
    if (keepAwake !== false && ((await keepAwake) || inUse())) return false
    const exclusive = lock.tryExclusive()
    if (exclusive !== true) {
      if (!(await exclusive)) return false
      if (inUse()) {
        // If another call of `now` is draining the target, that call needs the exclusive lock.
        if (lifecycle.phase === 'awake') this.#events.needed()
        return false
      }
    }
    return this.drain()
  }

  /** Drains without a caller that waits; errors go to the observer. */
  drainAlone(): void {
    const { context, key } = this.#parts
    this.drain().catch((error: Error) => context.observer.error?.(error, key))
  }

  /** Resolves to whether the target was scaled to zero. Without `force`, that does not happen while another activator uses it. */
  async drain(force?: 'whoever uses it'): Promise<boolean> {
    const { context, key, lifecycle, lock, scaling } = this.#parts
    const { endpoints } = this.#parts.admission
    const { ids } = endpoints
    const generation = this.#beginDrain()
    let stopped: string[] | undefined
    try {
      await scaling.run(async () => {
        if (!(await lock.tryExclusive()) && !force) return
        const stoppedByDriver = (await context.scale(key, 0)) ?? []
        stopped = [...ids, ...endpoints.reported, ...stoppedByDriver]
      })
    } catch (error) {
      if (lifecycle.generation === generation) this.#undrain(true)
      throw error
    } finally {
      void lock.release(stopped)
    }
    if (lifecycle.generation !== generation) return stopped !== undefined
    if (!stopped) {
      this.#undrain(false)
      return false
    }
    endpoints.scaledDown(stopped)
    this.#wake.endWait()
    lifecycle.enter('asleep')
    if (!this.#wake.failure) context.observer.asleep?.(key)
    this.#parts.ended()
    return true
  }

  /** The endpoint does not exist any more, although the driver reports it. */
  replace(id: string): void {
    const { admission, lock, replicas } = this.#parts
    lock.reportDead(id, true)
    admission.endpoints.dropDead(id)
    admission.count()
    if (admission.endpoints.size === 0) this.replaceAll()
    else replicas.decide()
  }

  /** A dead endpoint answers again: it is used, unless it is being stopped. */
  restore(id: string): void {
    const { admission, lifecycle, lock } = this.#parts
    lock.reportDead(id, false)
    if (!admission.endpoints.revive(id) || lifecycle.phase === 'draining') return
    admission.adjust()
    if (admission.endpoints.size > 0) this.#events.awake()
  }

  /** No endpoint is left that could be used. */
  replaceAll(): void {
    const { admission, replicas } = this.#parts
    const { dead, reported } = admission.endpoints
    // Nothing in use is scaled down: a dead endpoint may still serve what it began. The new one starts beside it.
    const isWanted = admission.queued > 0
    if (dead.used.length > 0 || (isWanted && replicas.wanted > 1)) {
      if (isWanted) this.#wake.limitWait()
      return replicas.decide()
    }
    // The driver does not start a replacement for the endpoints that it reports as ready unless they are stopped.
    if (reported.length > 0) this.drainAlone()
    else this.lostAll()
  }

  /** All endpoints are gone without a scale-down. */
  lostAll(): void {
    const { lifecycle, replicas } = this.#parts
    this.#idle.stop()
    replicas.end()
    lifecycle.enter('asleep')
    this.#parts.ended()
  }

  #beginDrain(): number {
    const { admission, health, lifecycle, lock, replicas } = this.#parts
    this.#idle.stop()
    this.#retry.stop()
    this.#wake.abandon(new Error('The target is scaled down.'))
    replicas.end()
    lock.cancel()
    health.clear()
    const generation = lifecycle.enter('draining')
    admission.endpoints.beginScaleDown()
    admission.count()
    return generation
  }

  /** The target was not scaled down: the endpoints that the driver last reported still run. `faulty`: the driver failed. */
  #undrain(faulty: boolean): void {
    const { admission, lifecycle } = this.#parts
    this.#wake.endWait()
    lifecycle.enter('asleep')
    admission.endpoints.scaleDownFailed(faulty)
    admission.adjust()
    if (admission.endpoints.size > 0) return this.#events.awake()
    // The driver failed, or another activator held the lock. Endpoints may still run that no activator will stop.
    if ((faulty || admission.endpoints.reportsUnusable) && !this.#isLast)
      this.#retry.set(RETRY, () => this.drainAlone())
    this.#parts.ended()
  }

  #fallAsleep(): void {
    const { admission, context, keepWarm, key } = this.#parts
    // If the target is in use or kept warm, the release of the last lease or a refresh sets the timer again.
    if (!admission.unused || keepWarm.replicas > 0) return
    this.now().then(
      (slept) => slept || this.#events.postponed(),
      (error: Error) => {
        context.observer.error?.(error, key)
        this.#events.postponed()
      },
    )
  }
}
