import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { retired, ScalerError, targetFailed, wakeNotBegun, wakeTimedOut } from './errors.ts'
import { Gate } from './gate.ts'
import { IdleClock } from './idle.ts'
import type { Observer } from './observer.ts'
import type { EndpointSet } from './picker.ts'
import { Replicas } from './replicas.ts'
import { ScaleQueue } from './scale-queue.ts'
import type { TargetLock, TargetLockEvents } from './target-lock.ts'
import type {
  AcquireOptions,
  Driver,
  EndpointFault,
  Lease,
  TargetKey,
  TargetPhase,
  TargetPolicy,
  TargetState,
  TargetStats,
} from './types.ts'
import { KeepWarm } from './keep-warm.ts'
import { Wake } from './wake.ts'
import type { WakeTurn } from './wake-turns.ts'

// Longer than 300 lines: one state machine, each of whose transitions reads and writes most of its fields.

/** What a target needs of the activator around it. */
export interface TargetContext {
  readonly clock: Clock
  readonly observer: Observer
  policy(key: TargetKey): TargetPolicy
  keepAwake(key: TargetKey): boolean | Promise<boolean>
  /** Bounded when it is to none: many targets that fall idle at once do not stampede the driver. */
  scale(key: TargetKey, replicas: number, remove?: readonly string[]): ReturnType<Driver['scale']>
  /** For all wakes of the target, which take turns with those of others. */
  wakeTurn(key: TargetKey): WakeTurn
  lock(key: TargetKey, events: TargetLockEvents): TargetLock
  /** Nothing is known or owed any more; the target may be dropped. */
  forget(target: Target): void
}

/** Until a target that sleeps, but that the driver would not scale down, is scaled down again; ms. */
const DRAIN_RETRY = 3_000

/**
 * The state machine of one target: asleep → waking → awake → draining → asleep. A generation is one life from a wake
 * to the scale-down that ends it; whatever was decided for an older generation is void.
 */
export class Target {
  readonly key: TargetKey
  readonly #context: TargetContext
  readonly #gate: Gate
  readonly #lock: TargetLock
  readonly #replicas: Replicas
  readonly #keepWarm: KeepWarm
  readonly #idle: IdleClock
  readonly #readiness: Alarm
  /** For what still runs though the target sleeps. */
  readonly #drainRetry: Alarm
  readonly #scaling = new ScaleQueue(() => this.#phase === 'asleep' && this.#forgetIfUnused())
  readonly #wakes: Wake
  #state: TargetPhase = 'asleep'
  #generation = 0
  /** Gives out no more leases. */
  #retired = false
  /** It is this activator that retires or closes it: its end is not the idle clock's business any more. */
  #ending = false

  constructor(key: TargetKey, context: TargetContext) {
    this.key = key
    this.#context = context
    const { clock, observer } = context
    this.#readiness = new Alarm(clock)
    this.#drainRetry = new Alarm(clock)
    this.#wakes = new Wake(clock, context.wakeTurn(key))
    this.#gate = new Gate({
      policy: () => this.#policy(),
      lock: () => this.#lock,
      loadChanged: () => this.#replicas.loadChanged(),
      unused: () => this.#afterUse(),
    })
    this.#idle = new IdleClock(
      clock,
      () => this.#policy().idleTimeout,
      () => this.#fallAsleep(),
    )
    this.#lock = context.lock(key, {
      changed: () => this.#lockChanged(),
      retired: () => this.#retireHere(),
      demand: () => this.#gate.demand,
    })
    this.#keepWarm = new KeepWarm(
      clock,
      () => this.#policy(),
      () => this.refresh(),
    )
    this.#replicas = new Replicas({
      clock,
      endpoints: this.#gate.endpoints,
      lock: this.#lock,
      policy: () => this.#policy(),
      load: () => this.#gate.inFlight + this.#gate.queued,
      keptWarm: () => this.#keepWarm.replicas,
      drainingChanged: () => this.#gate.count(),
      scale: (replicas, remove) => context.scale(key, replicas, remove),
      enqueue: (scale) => this.#scaling.run(scale),
      scaled: (change) => observer.scaled?.(key, change),
      failed: (error) => observer.error?.(error, key),
    })
  }

  stats(): TargetStats {
    return {
      phase: this.#phase,
      inFlight: this.#gate.inFlight,
      queued: this.#gate.queued,
      endpoints: this.#endpoints.size,
      replicas: this.#replicas.wanted,
      generation: this.#generation,
      phases: this.#wakes.phases,
      ...(this.#wakes.failure ? { failure: this.#wakes.failure } : {}),
      ...(this.#phase === 'awake' && this.#gate.unused ? { idleSince: this.#idle.since } : {}),
    }
  }

  /** See Activator.tryAcquire. */
  tryAcquire(): Lease | undefined {
    return this.#retired ? undefined : this.#gate.tryEnter()
  }

  async acquire(options: AcquireOptions): Promise<Lease> {
    options.signal?.throwIfAborted()
    return this.tryAcquire() ?? this.#wait(options)
  }

  /** The driver's word. Endpoints are taken over before capacity, so that no grant finds an empty set. */
  update(state: TargetState): void {
    this.#endpoints.replace(state.ready)
    // What a driver still says of a dying generation is void: its endpoints are never given out again.
    if (this.#phase === 'draining') return
    this.#gate.adjust()
    if (state.phases) this.#wakes.report(state.phases)
    if (this.#endpoints.size > 0) this.#becomeAwake()
    else if (this.#phase === 'waking' && state.failure) this.#giveUp(targetFailed(state.failure))
    else if (this.#phase === 'awake') {
      // A running target that ended may well start again: its failure is told, not held against the next request.
      if (state.failure) this.#context.observer.failed?.(this.key, state.failure)
      // What the driver still calls ready is not to be used, and would keep it from starting another.
      if (state.ready.length > 0) this.#drainAlone()
      else this.#lostAll()
    } else if (this.#phase === 'asleep') this.#forgetIfUnused()
  }

  report(endpointId: string, fault: EndpointFault): void {
    if (fault === 'timeout') {
      this.#endpoints.suspect(endpointId)
      return
    }
    if (!this.#endpoints.drop(endpointId)) return
    this.#gate.count()
    // The driver may not know yet, and would then call it running: told to stop it first, it starts another.
    if (this.#endpoints.size === 0 && this.#phase === 'awake') this.#drainAlone()
  }

  /** Compare-and-swap on the generation: false when it is in use or kept awake, or was woken anew meanwhile. */
  async sleep(): Promise<boolean> {
    const generation = this.#generation
    const inUse = (): boolean =>
      this.#generation !== generation ||
      !this.#gate.unused ||
      this.#phase === 'waking' ||
      this.#keepWarm.replicas > 0
    if (inUse()) return false
    if (this.#phase !== 'awake') return true
    const kept = this.#context.keepAwake(this.key)
    if (kept !== false && ((await kept) || inUse())) return false
    const exclusive = this.#lock.tryExclusive()
    if (exclusive !== true) {
      if (!(await exclusive)) return false
      if (inUse()) {
        // Where another call of sleep drains it, the exclusive lock is that call's.
        if (this.#phase === 'awake') this.#hold()
        return false
      }
    }
    return this.#drain()
  }

  /** Applies the policy as it is now: wakes what is to be kept awake, lets go of what is not any more. */
  refresh(): void {
    if (this.#retired) return
    this.#keepWarm.look()
    if (this.#phase === 'asleep' && this.#keepWarm.replicas > 0 && !this.#wakes.failing) this.#wake()
    this.#gate.count()
    this.#replicas.decide()
    if (this.#phase === 'asleep') this.#forgetIfUnused()
    else this.#watchIdle()
  }

  /** See Activator.retire. */
  async retire(signal?: AbortSignal): Promise<void> {
    this.#refuseAll(retired())
    await this.#gate.none(signal)
    // Another may have woken it, though nothing is heard of that yet.
    const used = await this.#lock.retire(signal)
    if (!used && this.#phase === 'asleep' && this.#scaling.open === 0) await this.#lock.release()
    if (used || this.#phase !== 'asleep' || this.#scaling.open > 0) await this.#drain('whoever uses it')
    // Retired twice, the later scale call ends it.
    if (this.#scaling.open === 0) this.#forget()
  }

  /** Resolves once no lease is out, or the signal fires. */
  drained(signal?: AbortSignal): Promise<void> {
    return this.#gate.none(signal)
  }

  /** Stops every timer and refuses all who wait; running replicas are left alone. */
  close(reason: Error): void {
    this.#refuseAll(reason)
    this.#readiness.stop()
    this.#wakes.turn.leave()
    this.#replicas.end()
    this.#lock.cancel()
  }

  #refuseAll(reason: Error): void {
    this.#ending = true
    this.#idle.stop()
    this.#drainRetry.stop()
    this.#refuse(reason)
  }

  #refuse(reason: Error): void {
    this.#retired = true
    this.#keepWarm.stop()
    this.#gate.refuse(reason)
  }

  /**
   * Another activator retires the target, and scales it down once nobody uses it. Should that one die, or wake it for one
   * who had not heard of it, the idle clock sees to its end.
   */
  #retireHere(): void {
    if (this.#retired) return
    this.#refuse(retired())
    this.#readiness.stop()
    if (this.#phase === 'waking') this.#phase = 'asleep'
    this.#replicas.end()
    void this.#gate.none().then(async () => {
      await this.#lock.release()
      this.#afterUse()
    })
  }

  async #wait(options: AcquireOptions): Promise<Lease> {
    const { clock, observer } = this.#context
    try {
      if (this.#retired) throw retired()
      const { failing } = this.#wakes
      if (failing) throw failing

      const began = clock.now()
      const cold = this.#phase !== 'awake'
      const place = this.#gate.enter(options)
      if (this.#phase === 'asleep') this.#wake()
      else if (this.#phase === 'draining') this.#limitWait()
      else if (this.#phase === 'awake') this.#hold()
      this.#lock.balance()
      const slot = await place
      const waited = clock.now() - began
      observer.granted?.(this.key, { waited, cold })
      return this.#gate.lease(slot, cold ? { waited, phases: this.#wakes.phases } : undefined)
    } catch (error) {
      if (error instanceof ScalerError) observer.refused?.(this.key, error.code)
      this.#replicas.loadChanged()
      this.#lock.balance()
      this.#afterUse()
      throw error
    }
  }

  #wake(): void {
    this.#drainRetry.stop()
    const generation = ++this.#generation
    this.#phase = 'waking'
    this.#wakes.begin()
    this.#context.observer.waking?.(this.key)
    this.#limitWake(generation)
    this.#replicas.begin(0)
    this.#start(generation)
  }

  /** Not bound to any caller's signal: one wake serves all who wait, and outlives those who leave. */
  #start(generation = this.#generation): void {
    this.#scaling
      .run(async () => {
        await this.#lock.acquireShared()
        const mayStart = (): boolean =>
          this.#generation === generation && this.#lock.leads && !this.#replicas.started
        if (!mayStart()) return
        const turn = this.#phase === 'waking' ? this.#wakes.turn.take() : true
        // The time until its turn is not charged to the wake.
        if (turn !== true && (await this.#wakes.untilTurn(turn))) this.#limitWake(generation)
        if (mayStart()) await this.#replicas.start()
        // It is another activator's wake, or over already.
        if (!this.#replicas.started || this.#phase !== 'waking') this.#wakes.turn.leave()
      })
      .catch((error: Error) => {
        if (this.#generation !== generation || this.#phase !== 'waking' || this.#retired) return
        const known = error instanceof ScalerError
        if (known && error.code === 'SCALER_WAKES_FULL') this.#callOff(error)
        else
          this.#giveUp(known ? error : targetFailed({ code: 'SCALER_SCALE_FAILED', message: error.message }))
      })
  }

  #limitWake(generation: number): void {
    this.#readiness.set(this.#policy().readinessTimeout, () => this.#wakeTimedOut(generation))
  }

  /** The wake is not begun: all who wait get the reason. The target is not at fault, so the next request tries again. */
  #callOff(reason: ScalerError): void {
    this.#generation++
    this.#readiness.stop()
    this.#replicas.end()
    this.#phase = 'asleep'
    this.#gate.refuse(reason)
    this.#wakeOrForget()
  }

  #becomeAwake(): void {
    if (this.#phase === 'awake') return this.#lock.balance()
    const wasWaking = this.#phase === 'waking'
    this.#phase = 'awake'
    this.#wakes.succeeded()
    this.#readiness.stop()
    this.#drainRetry.stop()
    this.#keepWarm.becameReady()
    if (wasWaking) {
      const { waited, phases } = this.#wakes
      this.#context.observer.awake?.(this.key, { waited, phases })
    } else {
      this.#generation++
      this.#replicas.begin(this.#endpoints.size)
    }
    if (this.#gate.queued > 0) this.#hold()
    this.#lock.balance()
    this.#afterUse()
  }

  /** Every endpoint is gone though nobody told it to sleep. Those who wait get a new wake, others find it asleep. */
  #lostAll(): void {
    this.#generation++
    this.#idle.stop()
    this.#replicas.end()
    this.#phase = 'asleep'
    this.#wakeOrForget()
  }

  #wakeTimedOut(generation: number): void {
    if (this.#generation !== generation || this.#phase !== 'waking') return
    if (this.#wakes.turn.waits) this.#callOff(wakeNotBegun(this.#policy().readinessTimeout))
    else this.#giveUp(this.#timedOut())
  }

  /** A driver that hangs while it scales down, or a share that cannot be acquired, must not hold requests forever. */
  #limitWait(): void {
    if (this.#readiness.armed) return
    this.#readiness.set(this.#policy().readinessTimeout, () => this.#gate.refuse(this.#timedOut()))
  }

  #timedOut(): ScalerError {
    return wakeTimedOut(this.#policy().readinessTimeout)
  }

  /** The wake has failed: all who wait get the reason, and those who come within the back-off. */
  #giveUp(reason: ScalerError): void {
    const failure = this.#wakes.failed(reason)
    this.#gate.refuse(reason)
    this.#context.observer.failed?.(this.key, failure)
    // Not asleep before it is scaled down: an endpoint that is ready too late is about to be stopped.
    this.#drainAlone()
  }

  /** Where nobody waits for its end. */
  #drainAlone(): void {
    this.#drain().catch((error: Error) => this.#context.observer.error?.(error, this.key))
  }

  /** Resolves to whether the target is scaled down: not while another activator uses it, unless told so. */
  async #drain(force?: 'whoever uses it'): Promise<boolean> {
    this.#idle.stop()
    this.#readiness.stop()
    this.#drainRetry.stop()
    this.#replicas.end()
    this.#lock.cancel()
    const generation = ++this.#generation
    const { ids } = this.#endpoints
    this.#phase = 'draining'
    this.#endpoints.beginScaleDown()
    this.#gate.count()
    let stopped: string[] | undefined
    try {
      await this.#scaling.run(async () => {
        if (!(await this.#lock.tryExclusive()) && !force) return
        const told = (await this.#context.scale(this.key, 0)) ?? []
        stopped = [...ids, ...this.#endpoints.reported, ...told]
      })
    } catch (error) {
      if (this.#generation === generation) this.#undrain(true)
      throw error
    } finally {
      void this.#lock.release(stopped)
    }
    if (this.#generation !== generation) return stopped !== undefined
    if (!stopped) {
      this.#undrain(false)
      return false
    }
    this.#endpoints.scaledDown(stopped)
    this.#readiness.stop()
    this.#phase = 'asleep'
    if (!this.#wakes.failure) this.#context.observer.asleep?.(this.key)
    this.#wakeOrForget()
    return true
  }

  /** It is not scaled down: what the driver last reported still runs, and may fall idle again. */
  #undrain(faulty: boolean): void {
    this.#readiness.stop()
    this.#phase = 'asleep'
    this.#endpoints.scaleDownFailed(faulty)
    this.#gate.adjust()
    if (this.#endpoints.size > 0) return this.#becomeAwake()
    // The driver could not stop it, or it was not this one's to stop just then: what still runs may be nobody's.
    if ((faulty || this.#endpoints.reportsUnusable) && !this.#ending)
      this.#drainRetry.set(DRAIN_RETRY, () => this.#drainAlone())
    this.#wakeOrForget()
  }

  /** Asks for a share in a target that runs already. When it is retired, those who wait are told. */
  #hold(): void {
    if (this.#lock.hasShare) return
    this.#limitWait()
    this.#lock.acquireShared()?.catch((error: Error) => {
      // Dropped by a drain, they go to the next generation.
      if (error instanceof ScalerError) this.#gate.refuse(error)
    })
  }

  #lockChanged(): void {
    if (this.#phase === 'draining') return
    this.#gate.adjust()
    // It was another's to ask the driver; that one has left.
    if (this.#phase === 'waking' && this.#lock.leads && !this.#replicas.started) this.#start()
    if (this.#phase !== 'awake') return
    if (this.#endpoints.size === 0) return this.#lostAll()
    if (this.#lock.hasShare) this.#readiness.stop()
    else if (!this.#gate.unused) this.#hold()
    this.#lock.balance()
  }

  get #phase(): TargetPhase {
    return this.#state
  }

  set #phase(phase: TargetPhase) {
    this.#state = phase
    if (phase !== 'waking') this.#wakes.turn.leave()
  }

  #policy(): TargetPolicy {
    return this.#context.policy(this.key)
  }

  get #endpoints(): EndpointSet {
    return this.#gate.endpoints
  }

  /** After the last lease and each failed acquire: perhaps nobody needs the target any more. */
  #afterUse(): void {
    if (this.#phase === 'asleep') return this.#forgetIfUnused()
    this.#idle.restart()
    this.#watchIdle()
  }

  #watchIdle(): void {
    if (this.#phase === 'awake' && this.#gate.unused && !this.#ending && this.#keepWarm.replicas === 0)
      this.#idle.arm()
  }

  #fallAsleep(): void {
    // In use or kept, it is armed again by the last release or refresh.
    if (!this.#gate.unused || this.#keepWarm.replicas > 0) return
    this.sleep().then(
      (slept) => slept || this.#afterUse(),
      (error: Error) => {
        this.#context.observer.error?.(error, this.key)
        this.#afterUse()
      },
    )
  }

  /** Those who waited for the end of a generation go to the next one. */
  #wakeOrForget(): void {
    if (this.#retired) return this.#forgetIfUnused()
    if (this.#gate.queued > 0) return this.#wake()
    if (this.#keepWarm.replicas > 0) this.#keepWarm.retryLater()
    // Others who want it awake must not wait for this one to see to it.
    void this.#lock.release()
    this.#forgetIfUnused()
  }

  /**
   * A target that sleeps costs nothing: it is made anew by the next request. Not while a scale call is open, or the
   * driver still reports endpoints of the last generation: its successor would know nothing of either.
   */
  #forgetIfUnused(): void {
    const owed =
      this.#scaling.open > 0 || this.#endpoints.reportsUnusable || this.#keepWarm.armed || this.#drainRetry.armed
    if (!this.#wakes.failure && this.#gate.unused && !owed) this.#forget()
  }

  #forget(): void {
    this.#replicas.end()
    this.#idle.stop()
    this.#readiness.stop()
    this.#drainRetry.stop()
    this.#lock.dispose()
    this.#context.forget(this)
  }
}
