import type { AwakeRoom } from './awake-room.ts'
import { Admission } from './admission.ts'
import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { retired, ScalerError, targetFailed, wakeNotBegun, wakeTimedOut } from './errors.ts'
import { Health } from './health.ts'
import { IdleClock } from './idle.ts'
import type { Observer } from './observer.ts'
import type { EndpointSet } from './picker.ts'
import { checkPolicy, isSamePolicy } from './policy.ts'
import { Replicas } from './replicas.ts'
import { ScaleQueue } from './scale-queue.ts'
import type { TargetLock, TargetLockEvents } from './target-lock.ts'
import type {
  AcquireOptions,
  Driver,
  Endpoint,
  EndpointFault,
  Lease,
  TargetKey,
  TargetPhase,
  TargetPolicy,
  TargetState,
  TargetStats,
} from './types.ts'
import { KeepWarm } from './keep-warm.ts'
import { FAILURE_BACKOFF, Wake } from './wake.ts'
import type { WakeTurn } from './wake-turns.ts'

// Longer than 300 lines: one state machine in which each transition reads and writes most of the fields.

/** The parts of an activator that its targets use. */
export interface TargetContext {
  readonly clock: Clock
  readonly observer: Observer
  policy(key: TargetKey): TargetPolicy
  keepAwake(key: TargetKey): boolean | Promise<boolean>
  /** Calls the driver's `scale`. Limits how many calls to scale to zero run at once, to protect the driver. */
  scale(
    key: TargetKey,
    replicas: number,
    options?: { remove?: readonly string[]; signal?: AbortSignal | undefined },
  ): ReturnType<Driver['scale']>
  /** See Driver.probe. */
  probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
  /** Limits how many targets are awake. */
  readonly room: AwakeRoom | undefined
  /** The target's place in the queue that limits how many targets are woken at once. */
  wakeTurn(key: TargetKey): WakeTurn
  lock(key: TargetKey, events: TargetLockEvents): TargetLock
  /** Drops the target: it has no state left and no pending work. */
  forget(target: Target): void
}

/** ms after which a scale-down that failed or was not allowed is retried. */
const DRAIN_RETRY = 3_000
/** The wake was refused. The target itself has not failed. */
const CALLED_OFF: ReadonlySet<string> = new Set(['SCALER_WAKES_FULL', 'SCALER_AWAKE_FULL', 'SCALER_OUTDATED'])

/**
 * The state machine of one target: asleep → waking → awake → draining → asleep. A new generation begins at each wake and at
 * each scale-down. An asynchronous step that began in an older generation must have no effect.
 */
export class Target {
  readonly key: TargetKey
  readonly #context: TargetContext
  readonly #admission: Admission
  readonly #lock: TargetLock
  readonly #replicas: Replicas
  readonly #health: Health
  readonly #keepWarm: KeepWarm
  readonly #idle: IdleClock
  readonly #readiness: Alarm
  /** Retries the scale-down of endpoints that may still run although the target is asleep. */
  readonly #drainRetry: Alarm
  /** Fires when the back-off after a failed wake ends: the target may be forgotten then. */
  readonly #failureExpiry: Alarm
  readonly #scaling = new ScaleQueue(() => this.#phase === 'asleep' && this.#forgetIfUnused())
  readonly #wakes: Wake
  #lastPolicy: TargetPolicy | undefined
  /** Whether the error of the present policy has been reported. */
  #isPolicyInvalid = false
  #state: TargetPhase = 'asleep'
  #generation = 0
  /** Grants no more leases. */
  #retired = false
  /** Set when this activator retires or closes the target: the idle clock must no longer put the target to sleep. */
  #ending = false

  constructor(key: TargetKey, context: TargetContext) {
    this.key = key
    this.#context = context
    const { clock, observer } = context
    this.#readiness = new Alarm(clock)
    this.#drainRetry = new Alarm(clock)
    this.#failureExpiry = new Alarm(clock)
    this.#wakes = new Wake(clock, context.wakeTurn(key))
    this.#admission = new Admission({
      clock,
      policy: () => this.#policy(),
      lock: () => this.#lock,
      arrived: () => this.#replicas.arrived(),
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
      demand: () => this.#admission.demand,
    })
    this.#keepWarm = new KeepWarm(
      clock,
      () => this.#policy(),
      () => this.refresh(),
    )
    this.#health = new Health({
      clock,
      endpoints: this.#endpoints,
      probe: (endpoint, signal) => context.probe(key, endpoint, signal),
      changed: () => {
        this.#admission.count()
        this.#lock.balance()
      },
      dead: ({ id }) => this.#replace(id),
    })
    this.#replicas = new Replicas({
      clock,
      endpoints: this.#admission.endpoints,
      lock: this.#lock,
      policy: () => this.#policy(),
      load: () => this.#admission.inFlight + this.#admission.queued,
      keptWarm: () => this.#keepWarm.replicas,
      drainingChanged: () => this.#admission.count(),
      scale: (replicas, remove) =>
        context.scale(key, replicas, {
          remove,
          signal: this.#phase === 'waking' ? this.#wakes.signal : undefined,
        }),
      enqueue: (scale) => this.#scaling.run(scale),
      scaled: (change) => observer.scaled?.(key, change),
      failed: (error) => observer.error?.(error, key),
    })
  }

  stats(): TargetStats {
    return {
      phase: this.#phase,
      inFlight: this.#admission.inFlight,
      queued: this.#admission.queued,
      endpoints: this.#endpoints.size,
      replicas: this.#replicas.wanted,
      generation: this.#generation,
      phases: this.#wakes.phases,
      ...(this.#wakes.failure ? { failure: this.#wakes.failure } : {}),
      ...(this.#phase === 'awake' && this.#admission.unused ? { idleSince: this.#idle.since } : {}),
    }
  }

  /** See Activator.tryAcquire. */
  tryAcquire(): Lease | undefined {
    return this.#retired ? undefined : this.#admission.tryEnter()
  }

  async acquire(options: AcquireOptions): Promise<Lease> {
    options.signal?.throwIfAborted()
    return this.tryAcquire() ?? this.#wait(options)
  }

  /** Handles a report from the driver. Updates the endpoints before the capacity, so that no lease is granted on an empty set. */
  update(state: TargetState): void {
    this.#endpoints.replace(state.ready)
    this.#health.update()
    // Endpoints of a generation that is being scaled down must not get leases, even if the driver still reports them.
    if (this.#phase === 'draining') return
    this.#admission.adjust()
    if (state.phases) this.#wakes.report(state.phases)
    if (this.#endpoints.size > 0) this.#becomeAwake()
    else if (this.#phase === 'waking' && state.failure) this.#giveUp(targetFailed(state.failure))
    else if (this.#phase === 'awake') {
      // A target that ran and then stopped may well start again: the failure is reported, but the next request starts a wake.
      if (state.failure) this.#context.observer.failed?.(this.key, state.failure)
      this.#replaceAll()
    } else if (this.#phase === 'asleep') this.#forgetIfUnused()
  }

  /** See Activator.report. */
  report(endpointId: string, fault: EndpointFault): void {
    this.#health.report(endpointId, fault)
  }

  /** See Activator.sleep. Also resolves to false if a new generation has begun in the meantime. */
  async sleep(): Promise<boolean> {
    const generation = this.#generation
    const inUse = (): boolean =>
      this.#generation !== generation ||
      !this.#admission.unused ||
      this.#phase === 'waking' ||
      this.#keepWarm.replicas > 0
    if (inUse()) return false
    if (this.#phase !== 'awake') return true
    const keepAwake = this.#context.keepAwake(this.key)
    if (keepAwake !== false && ((await keepAwake) || inUse())) return false
    const exclusive = this.#lock.tryExclusive()
    if (exclusive !== true) {
      if (!(await exclusive)) return false
      if (inUse()) {
        // If another call of `sleep` is draining the target, that call needs the exclusive lock.
        if (this.#phase === 'awake') this.#hold()
        return false
      }
    }
    return this.#drain()
  }

  /** See Activator.refresh: wakes the target if the policy keeps it awake, otherwise lets it become idle. */
  refresh(): void {
    if (this.#retired) return
    this.#keepWarm.look()
    if (this.#phase === 'asleep' && this.#keepWarm.replicas > 0 && !this.#wakes.failing) this.#wake()
    this.#admission.count()
    this.#replicas.decide()
    if (this.#phase === 'asleep') this.#forgetIfUnused()
    else this.#watchIdle()
  }

  /** See Activator.retire. */
  async retire(signal?: AbortSignal): Promise<void> {
    this.#refuseAll(retired())
    await this.#admission.none(signal)
    // Another activator may have woken the target without this one having been notified yet.
    const used = await this.#lock.retire(signal)
    if (!used && this.#phase === 'asleep' && this.#scaling.open === 0) await this.#lock.release()
    if (used || this.#phase !== 'asleep' || this.#scaling.open > 0) await this.#drain('whoever uses it')
    // If `retire` was called twice, the scale call that is still open drops the target.
    if (this.#scaling.open === 0) this.#forget()
  }

  /** Resolves when no lease is held, or when the signal aborts. */
  drained(signal?: AbortSignal): Promise<void> {
    return this.#admission.none(signal)
  }

  /** Stops every timer and rejects all waiting requests. Running replicas keep running. */
  close(reason: Error): void {
    this.#refuseAll(reason)
    this.#readiness.stop()
    this.#health.clear()
    this.#wakes.turn.leave()
    this.#replicas.end()
    this.#lock.cancel()
  }

  #refuseAll(reason: Error): void {
    this.#failureExpiry.stop()
    this.#ending = true
    this.#idle.stop()
    this.#drainRetry.stop()
    this.#refuse(reason)
  }

  #refuse(reason: Error): void {
    this.#retired = true
    this.#keepWarm.stop()
    this.#admission.refuse(reason)
  }

  /**
   * Called when another activator retires the target; that activator scales the target down once nobody uses it. If that
   * activator dies, or if the target is woken again by an activator that does not know of the retirement yet, the idle clock
   * of this activator scales the target down.
   */
  #retireHere(): void {
    if (this.#retired) return
    this.#refuse(retired())
    this.#readiness.stop()
    if (this.#phase === 'waking') this.#phase = 'asleep'
    this.#replicas.end()
    void this.#admission.none().then(async () => {
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
      const place = this.#admission.enter(options)
      if (this.#phase === 'asleep') this.#wake()
      else if (this.#phase === 'draining') this.#limitWait()
      else if (this.#phase === 'awake') {
        if (this.#endpoints.size === 0) this.#limitWait()
        this.#hold()
      }
      this.#lock.balance()
      const slot = await place
      const waited = clock.now() - began
      observer.granted?.(this.key, { waited, cold })
      return this.#admission.lease(slot, cold ? { waited, phases: this.#wakes.phases } : undefined)
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

  /** Not bound to the signal of any request: one wake serves all waiting requests, and continues when some of them abort. */
  #start(generation = this.#generation): void {
    this.#scaling
      .run(async () => {
        await this.#lock.acquireShared()
        const mayStart = (): boolean =>
          this.#generation === generation && this.#lock.leads && !this.#replicas.started
        if (!mayStart()) return
        const turn = this.#phase === 'waking' ? this.#wakes.turn.take() : true
        // Time spent in the queue does not count towards the readiness timeout.
        if (turn !== true && (await this.#wakes.untilTurn(turn))) this.#limitWake(generation)
        const { room } = this.#context
        if (room && this.#phase === 'waking' && mayStart()) await room.admit(this.key)
        if (mayStart()) await this.#replicas.start()
        // Another activator starts the replicas, or the wake has ended.
        if (!this.#replicas.started || this.#phase !== 'waking') this.#wakes.turn.leave()
      })
      .catch((error: Error) => {
        if (this.#generation !== generation || this.#phase !== 'waking' || this.#retired) return
        const known = error instanceof ScalerError
        if (known && CALLED_OFF.has(error.code)) this.#callOff(error)
        else
          this.#giveUp(known ? error : targetFailed({ code: 'SCALER_SCALE_FAILED', message: error.message }))
      })
  }

  #limitWake(generation: number): void {
    this.#readiness.set(this.#policy().readinessTimeout, () => this.#wakeTimedOut(generation))
  }

  /**
   * Cancels a wake that has not begun, and rejects all waiting requests with the reason. The target itself has not failed, so
   * the next request starts another wake.
   */
  #callOff(reason: ScalerError): void {
    this.#wakes.abandon(reason)
    this.#generation++
    this.#readiness.stop()
    this.#replicas.end()
    this.#phase = 'asleep'
    this.#admission.refuse(reason)
    this.#wakeOrForget()
  }

  #becomeAwake(): void {
    if (this.#phase === 'awake') {
      if (this.#lock.hasShare) this.#readiness.stop()
      this.#replicas.readyChanged()
      return this.#lock.balance()
    }
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
    if (this.#admission.queued > 0) this.#hold()
    this.#lock.balance()
    this.#afterUse()
  }

  /** The endpoint does not exist any more, although the driver reports it. */
  #replace(id: string): void {
    this.#endpoints.dropDead(id)
    this.#admission.count()
    if (this.#endpoints.size === 0) this.#replaceAll()
    else this.#replicas.decide()
  }

  /** No endpoint is left that could be used. */
  #replaceAll(): void {
    // Nothing in use is scaled down: a dead endpoint may still serve what it began. The new one starts beside it.
    const isWanted = this.#admission.queued > 0
    if (this.#endpoints.dead.used.length > 0 || (isWanted && this.#replicas.wanted > 1)) {
      if (isWanted) this.#limitWait()
      return this.#replicas.decide()
    }
    // The driver does not start a replacement for the endpoints that it reports as ready unless they are stopped.
    if (this.#endpoints.reported.length > 0) this.#drainAlone()
    else this.#lostAll()
  }

  /** All endpoints are gone without a scale-down. Waiting requests start a new wake; otherwise the target is asleep. */
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

  /** Limits how long requests wait for a scale-down that hangs or for a shared lock that cannot be acquired. */
  #limitWait(): void {
    if (this.#readiness.armed) return
    this.#readiness.set(this.#policy().readinessTimeout, () => this.#admission.refuse(this.#timedOut()))
  }

  #timedOut(): ScalerError {
    return wakeTimedOut(this.#policy().readinessTimeout)
  }

  /** The wake has failed: rejects all waiting requests with the reason, and all that arrive during the back-off. */
  #giveUp(reason: ScalerError): void {
    const failure = this.#wakes.failed(reason)
    this.#admission.refuse(reason)
    this.#context.observer.failed?.(this.key, failure)
    this.#failureExpiry.set(FAILURE_BACKOFF, () => this.#afterUse())
    // The target drains before it is asleep: an endpoint that becomes ready too late must not be used, as it is being stopped.
    this.#drainAlone()
  }

  /** Drains without a caller that waits; errors go to the observer. */
  #drainAlone(): void {
    this.#drain().catch((error: Error) => this.#context.observer.error?.(error, this.key))
  }

  /** Resolves to whether the target was scaled to zero. Without `force`, that does not happen while another activator uses it. */
  async #drain(force?: 'whoever uses it'): Promise<boolean> {
    this.#idle.stop()
    this.#readiness.stop()
    this.#drainRetry.stop()
    this.#replicas.end()
    this.#lock.cancel()
    const generation = ++this.#generation
    const { ids } = this.#endpoints
    this.#health.clear()
    this.#phase = 'draining'
    this.#endpoints.beginScaleDown()
    this.#admission.count()
    let stopped: string[] | undefined
    try {
      await this.#scaling.run(async () => {
        if (!(await this.#lock.tryExclusive()) && !force) return
        const stoppedByDriver = (await this.#context.scale(this.key, 0)) ?? []
        stopped = [...ids, ...this.#endpoints.reported, ...stoppedByDriver]
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

  /** The target was not scaled down: the endpoints that the driver last reported still run. `faulty`: the driver failed. */
  #undrain(faulty: boolean): void {
    this.#readiness.stop()
    this.#phase = 'asleep'
    this.#endpoints.scaleDownFailed(faulty)
    this.#admission.adjust()
    if (this.#endpoints.size > 0) return this.#becomeAwake()
    // The driver failed, or another activator held the lock. Endpoints may still run that no activator will stop.
    if ((faulty || this.#endpoints.reportsUnusable) && !this.#ending)
      this.#drainRetry.set(DRAIN_RETRY, () => this.#drainAlone())
    this.#wakeOrForget()
  }

  /** Acquires a shared lock on a target that is already running. If the target is retired, waiting requests are rejected. */
  #hold(): void {
    if (this.#lock.hasShare) return
    this.#limitWait()
    this.#lock.acquireShared()?.catch((error: Error) => {
      // Any other error means that a drain has cancelled the call. Waiting requests then start the next generation.
      if (error instanceof ScalerError) this.#admission.refuse(error)
    })
  }

  #lockChanged(): void {
    if (this.#phase === 'draining') return
    this.#admission.adjust()
    // The activator that was going to call the driver has left, and this one now leads.
    if (this.#phase === 'waking' && this.#lock.leads && !this.#replicas.started) this.#start()
    if (this.#phase !== 'awake') return
    if (this.#endpoints.size === 0)
      return this.#endpoints.dead.used.length === 0 ? this.#lostAll() : undefined
    if (this.#lock.hasShare) this.#readiness.stop()
    else if (!this.#admission.unused) this.#hold()
    this.#lock.balance()
  }

  get #phase(): TargetPhase {
    return this.#state
  }

  set #phase(phase: TargetPhase) {
    this.#state = phase
    if (phase !== 'waking') this.#wakes.turn.leave()
    if (phase === 'awake') this.#context.room?.entered(this.key)
    else if (phase === 'asleep') this.#context.room?.left(this.key)
  }

  /** The last valid policy, if the present one is not valid: a target that runs must not depend on a mistake. */
  #policy(): TargetPolicy {
    try {
      const policy = this.#context.policy(this.key)
      if (policy === this.#lastPolicy || isSamePolicy(policy, this.#lastPolicy)) return policy
      checkPolicy(policy)
      this.#isPolicyInvalid = false
      return (this.#lastPolicy = policy)
    } catch (error) {
      if (!this.#lastPolicy) throw error
      if (!this.#isPolicyInvalid) this.#context.observer.error?.(error as Error, this.key)
      this.#isPolicyInvalid = true
      return this.#lastPolicy
    }
  }

  get #endpoints(): EndpointSet {
    return this.#admission.endpoints
  }

  /** Called after the release of the last lease and after each failed acquire: the target may now be unused. */
  #afterUse(): void {
    if (this.#phase === 'asleep') return this.#forgetIfUnused()
    if (this.#phase === 'awake' && this.#endpoints.size === 0) return this.#replaceAll()
    this.#idle.restart()
    this.#watchIdle()
  }

  #watchIdle(): void {
    if (this.#phase === 'awake' && this.#admission.unused && !this.#ending && this.#keepWarm.replicas === 0)
      this.#idle.arm()
  }

  #fallAsleep(): void {
    // If the target is in use or kept warm, the release of the last lease or a refresh sets the timer again.
    if (!this.#admission.unused || this.#keepWarm.replicas > 0) return
    this.sleep().then(
      (slept) => slept || this.#afterUse(),
      (error: Error) => {
        this.#context.observer.error?.(error, this.key)
        this.#afterUse()
      },
    )
  }

  /** Called when a generation has ended. Requests that still wait start the next generation. */
  #wakeOrForget(): void {
    if (this.#retired) return this.#forgetIfUnused()
    if (this.#admission.queued > 0) return this.#wake()
    if (this.#keepWarm.replicas > 0) this.#keepWarm.retryLater()
    // Released early, so that other activators that want to wake the target need not wait for this one.
    void this.#lock.release()
    this.#forgetIfUnused()
  }

  /**
   * Drops the state of an unused target that is asleep; the next request creates it again. Does nothing while a scale call is
   * open or the driver still reports endpoints of the last generation, because a new object would know of neither.
   */
  #forgetIfUnused(): void {
    const pending =
      this.#scaling.open > 0 ||
      this.#endpoints.reportsUnusable ||
      this.#keepWarm.armed ||
      this.#drainRetry.armed
    if (!this.#wakes.failing && this.#admission.unused && !pending) this.#forget()
  }

  #forget(): void {
    this.#replicas.end()
    this.#idle.stop()
    this.#readiness.stop()
    this.#drainRetry.stop()
    this.#failureExpiry.stop()
    this.#lock.dispose()
    this.#context.forget(this)
  }
}
