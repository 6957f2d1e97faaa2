import { Alarm } from './alarm.ts'
import { Breaker } from './breaker.ts'
import type { Clock } from './clock.ts'
import { ScalerError } from './errors.ts'
import { LeaseBook } from './lease-book.ts'
import type { Observer } from './observer.ts'
import { EndpointSet } from './picker.ts'
import type {
  AcquireOptions,
  EndpointFault,
  Failure,
  Lease,
  Phase,
  TargetKey,
  TargetPhase,
  TargetPolicy,
  TargetState,
  TargetStats,
} from './types.ts'

/** What a target needs of the activator around it. */
export interface TargetContext {
  readonly clock: Clock
  readonly observer: Observer
  policy(key: TargetKey): TargetPolicy
  scaleUp(key: TargetKey, replicas: number): Promise<void>
  /** Bounded: many targets that fall idle at once do not stampede the driver. */
  scaleDown(key: TargetKey): Promise<void>
  /** Nothing is known or owed any more; the target may be dropped. */
  forget(target: Target): void
}

/** After a failed wake the same failure is answered at once for this long: a crashing app is not started per request. */
const FAILURE_BACKOFF = 1_000

/**
 * The state machine of one target: asleep → waking → awake → draining → asleep. A generation is one life from a wake
 * to the scale-down that ends it; whatever was decided for an older generation is void.
 */
export class Target {
  readonly key: TargetKey
  readonly #context: TargetContext
  readonly #breaker: Breaker
  readonly #endpoints = new EndpointSet()
  #phase: TargetPhase = 'asleep'
  #generation = 0
  #retired = false
  #failure: { value: Failure; reason: ScalerError; until: number } | undefined
  #wakeBegan = 0
  #phases: readonly Phase[] = []
  /** Scale calls of one target never overlap: each waits for the one before. */
  #scaling: Promise<void> = Promise.resolve()
  #openScales = 0
  readonly #leases = new LeaseBook(() => this.#rest())
  readonly #readiness: Alarm
  readonly #idle: Alarm

  constructor(key: TargetKey, context: TargetContext) {
    this.key = key
    this.#context = context
    this.#readiness = new Alarm(context.clock)
    this.#idle = new Alarm(context.clock)
    this.#breaker = new Breaker(() => {
      const policy = context.policy(key)
      return { depth: policy.queueDepth, bytes: policy.queueBytes }
    })
  }

  stats(): TargetStats {
    return {
      phase: this.#phase,
      inFlight: this.#leases.count,
      queued: this.#breaker.queued,
      endpoints: this.#endpoints.size,
      generation: this.#generation,
      phases: this.#phases,
      ...(this.#failure ? { failure: this.#failure.value } : {}),
    }
  }

  async acquire(options: AcquireOptions): Promise<Lease> {
    options.signal?.throwIfAborted()
    if (this.#retired) throw retired()
    const failure = this.#failure
    if (failure && this.#context.clock.now() < failure.until) throw failure.reason

    this.#idle.stop()
    const began = this.#context.clock.now()
    const cold = this.#phase !== 'awake'
    const place = this.#breaker.enter(options, () => {
      this.#leases.take()
      return this.#endpoints.pick(this.#concurrency())
    })
    if (this.#phase === 'asleep') this.#wake()
    else if (this.#phase === 'draining') this.#limitDrain()
    try {
      const { taken, leave } = await place
      const giveBack = (): void => {
        taken.leave()
        leave()
      }
      const waited = this.#context.clock.now() - began
      return this.#leases.lease(taken.endpoint, giveBack, cold ? { waited, phases: this.#phases } : undefined)
    } catch (error) {
      const full = error instanceof ScalerError && error.code === 'SCALER_QUEUE_FULL'
      if (full) this.#context.observer.queueFull?.(this.key)
      this.#rest()
      throw error
    }
  }

  /** The driver's word. Endpoints are taken over before capacity, so that no grant finds an empty set. */
  update(state: TargetState): void {
    this.#endpoints.replace(state.ready)
    // What a driver still says of a dying generation is void: its endpoints are never given out again.
    if (this.#phase === 'draining') return this.#endpoints.dropAll()
    this.#setCapacity()
    if (state.phases) this.#phases = state.phases
    if (this.#endpoints.size > 0) this.#becomeAwake()
    else if (this.#phase === 'waking' && state.failure) this.#fail(state.failure)
    else if (this.#phase === 'awake') {
      // A running target that ended may well start again: its failure is told, not held against the next request.
      if (state.failure) this.#context.observer.failed?.(this.key, state.failure)
      this.#lostAll()
    } else if (this.#phase === 'asleep') this.#forgetIfUnused()
  }

  report(endpointId: string, fault: EndpointFault): void {
    if (fault === 'timeout') {
      this.#endpoints.suspect(endpointId)
      return
    }
    if (!this.#endpoints.drop(endpointId)) return
    this.#setCapacity()
    // The driver may not know yet, and would then call it running: told to stop it first, it starts another.
    if (this.#endpoints.size === 0 && this.#phase === 'awake') this.#drain().catch(() => undefined)
  }

  /** Compare-and-swap on the generation: false when it is in use, or was woken anew meanwhile. */
  async sleep(generation = this.#generation): Promise<boolean> {
    const mayNot = this.#generation !== generation || this.#leases.count > 0 || this.#breaker.queued > 0
    if (mayNot || this.#phase === 'waking') return false
    if (this.#phase === 'awake') await this.#drain()
    return true
  }

  /** See Activator.retire. */
  async retire(signal?: AbortSignal): Promise<void> {
    this.#retired = true
    this.#idle.stop()
    this.#breaker.refuse(retired())
    await this.#leases.none(signal)
    if (this.#phase !== 'asleep' || this.#openScales > 0) await this.#drain()
    // Retired twice, the later scale call ends it.
    if (this.#openScales === 0) this.#context.forget(this)
  }

  /** Resolves once no lease is out, or the signal fires. */
  drained(signal?: AbortSignal): Promise<void> {
    return this.#leases.none(signal)
  }

  /** Stops every timer and refuses all who wait; running replicas are left alone. */
  close(reason: Error): void {
    this.#retired = true
    this.#idle.stop()
    this.#readiness.stop()
    this.#breaker.refuse(reason)
  }

  #wake(): void {
    const generation = ++this.#generation
    const policy = this.#context.policy(this.key)
    this.#phase = 'waking'
    this.#failure = undefined
    this.#phases = []
    this.#wakeBegan = this.#context.clock.now()
    this.#context.observer.waking?.(this.key)
    this.#readiness.set(policy.readinessTimeout, () => this.#wakeTimedOut(generation))
    // Not bound to any caller's signal: one wake serves all who wait, and outlives those who leave.
    this.#enqueueScale(() => this.#context.scaleUp(this.key, Math.max(1, policy.minReplicas))).catch(
      (error: Error) => {
        if (this.#generation !== generation || this.#phase !== 'waking' || this.#retired) return
        this.#fail({ code: 'SCALER_SCALE_FAILED', message: error.message })
      },
    )
  }

  #becomeAwake(): void {
    if (this.#phase === 'awake') return
    const wasWaking = this.#phase === 'waking'
    this.#phase = 'awake'
    this.#failure = undefined
    this.#readiness.stop()
    if (wasWaking) {
      const waited = this.#context.clock.now() - this.#wakeBegan
      this.#context.observer.awake?.(this.key, { waited, phases: this.#phases })
    } else {
      this.#generation++
    }
    this.#armIdle()
  }

  /** Every endpoint is gone though nobody told it to sleep. Those who wait get a new wake, others find it asleep. */
  #lostAll(): void {
    this.#idle.stop()
    this.#phase = 'asleep'
    this.#wakeOrForget()
  }

  #wakeTimedOut(generation: number): void {
    if (this.#generation !== generation || this.#phase !== 'waking') return
    const reason = this.#timedOut()
    this.#giveUp({ code: reason.code, message: reason.message }, reason)
  }

  /** A driver that hangs while it scales down must not hold the requests for the next generation for ever. */
  #limitDrain(): void {
    if (this.#readiness.armed) return
    const { readinessTimeout } = this.#context.policy(this.key)
    this.#readiness.set(readinessTimeout, () => this.#breaker.refuse(this.#timedOut()))
  }

  #timedOut(): ScalerError {
    const seconds = this.#context.policy(this.key).readinessTimeout / 1000
    return new ScalerError('SCALER_WAKE_TIMEOUT', `The target did not answer ready within ${seconds} s.`)
  }

  #fail(failure: Failure): void {
    this.#giveUp(failure, failed(failure))
  }

  #giveUp(failure: Failure, reason: ScalerError): void {
    this.#failure = { value: failure, reason, until: this.#context.clock.now() + FAILURE_BACKOFF }
    this.#breaker.refuse(reason)
    this.#context.observer.failed?.(this.key, failure)
    // Not asleep before it is scaled down: an endpoint that is ready too late is about to be stopped.
    this.#drain().catch(() => undefined)
  }

  async #drain(): Promise<void> {
    this.#idle.stop()
    this.#readiness.stop()
    const generation = ++this.#generation
    this.#phase = 'draining'
    this.#endpoints.dropAll()
    this.#setCapacity()
    try {
      await this.#enqueueScale(() => this.#context.scaleDown(this.key))
    } catch (error) {
      if (this.#generation === generation) this.#undrain()
      throw error
    }
    if (this.#generation !== generation) return
    this.#readiness.stop()
    this.#phase = 'asleep'
    if (!this.#failure) this.#context.observer.asleep?.(this.key)
    this.#wakeOrForget()
  }

  /** The driver would not scale down: what it last reported still runs, and may fall idle again. */
  #undrain(): void {
    this.#readiness.stop()
    this.#phase = 'asleep'
    this.#endpoints.revive()
    this.#setCapacity()
    if (this.#endpoints.size > 0) this.#becomeAwake()
    else this.#wakeOrForget()
  }

  #enqueueScale(scale: () => Promise<void>): Promise<void> {
    this.#openScales++
    const result = this.#scaling.then(scale).finally(() => {
      this.#openScales--
      if (this.#phase === 'asleep') this.#forgetIfUnused()
    })
    this.#scaling = result.catch(() => undefined)
    return result
  }

  #setCapacity(): void {
    this.#breaker.setCapacity(this.#endpoints.size === 0 ? 0 : this.#endpoints.size * this.#concurrency())
  }

  /** How many leases one endpoint may have out. */
  #concurrency(): number {
    const { concurrency } = this.#context.policy(this.key)
    return concurrency === 0 ? Infinity : concurrency
  }

  /** After each lease and each failed acquire: perhaps nobody needs the target any more. */
  #rest(): void {
    if (this.#phase === 'asleep') this.#forgetIfUnused()
    else this.#armIdle()
  }

  #armIdle(): void {
    const idle =
      this.#phase === 'awake' && this.#leases.count === 0 && this.#breaker.queued === 0 && !this.#retired
    const policy = this.#context.policy(this.key)
    if (!idle || policy.minReplicas > 0) return
    const generation = this.#generation
    this.#idle.set(policy.idleTimeout, () => void this.sleep(generation).catch(() => undefined))
  }

  /** Those who waited for the end of a generation go to the next one. */
  #wakeOrForget(): void {
    if (this.#breaker.queued > 0 && !this.#retired) this.#wake()
    else this.#forgetIfUnused()
  }

  /**
   * A target that sleeps costs nothing: it is made anew by the next request. Not while a scale call is open, or the
   * driver still reports endpoints of the last generation: its successor would know nothing of either.
   */
  #forgetIfUnused(): void {
    const wanted = this.#leases.count > 0 || this.#breaker.queued > 0
    const owed = this.#openScales > 0 || this.#endpoints.lingering
    if (!this.#failure && !wanted && !owed) this.#context.forget(this)
  }
}

function retired(): ScalerError {
  return new ScalerError('SCALER_RETIRED', 'This target has been replaced or removed.', { retryAfter: 0 })
}

function failed(failure: Failure): ScalerError {
  return new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure })
}
