import { retired, ScalerError } from './errors.ts'
import type { EndpointSet } from './picker.ts'
import { Sleep } from './sleep.ts'
import { createParts, type TargetContext, type TargetParts } from './target-parts.ts'
import type {
  AcquireOptions,
  EndpointFault,
  Lease,
  TargetKey,
  TargetPhase,
  TargetState,
  TargetStats,
} from './types.ts'
import { Wake } from './wake.ts'

/** One target: requests enter by the admission, wake and sleep move the lifecycle, replicas and health decide on endpoints. */
export class Target {
  readonly #parts: TargetParts
  readonly #wake: Wake
  readonly #sleep: Sleep
  /** Grants no more leases. */
  #retired = false

  constructor(key: TargetKey, context: TargetContext) {
    this.#parts = createParts(key, context, {
      isRetired: () => this.#retired,
      entered: (phase) => this.#entered(phase),
      ended: () => this.#ended(),
      unused: () => this.#afterUse(),
      dead: (id) => this.#sleep.replace(id),
      alive: (id) => this.#sleep.restore(id),
      due: () => this.refresh(),
      settled: () => this.#phase === 'asleep' && this.#forgetIfUnused(),
      lockChanged: () => this.#lockChanged(),
      retiredElsewhere: () => this.#retireHere(),
      wakeSignal: () => (this.#phase === 'waking' ? this.#wake.signal : undefined),
    })
    this.#wake = new Wake(this.#parts, {
      failed: () => this.#sleep.drainAlone(),
      backoffEnded: () => this.#afterUse(),
    })
    this.#sleep = new Sleep(this.#parts, this.#wake, {
      awake: () => this.#becomeAwake(),
      needed: () => this.#hold(),
      postponed: () => this.#afterUse(),
    })
  }

  stats(): TargetStats {
    const { admission, lifecycle, replicas } = this.#parts
    const { failure, phases } = this.#wake
    return {
      phase: lifecycle.phase,
      inFlight: admission.inFlight,
      queued: admission.queued,
      endpoints: this.#endpoints.size,
      replicas: replicas.wanted,
      generation: lifecycle.generation,
      phases,
      ...(failure ? { failure } : {}),
      ...(lifecycle.phase === 'awake' && admission.unused ? { idleSince: this.#sleep.idleSince } : {}),
    }
  }

  /** See Activator.tryAcquire. */
  tryAcquire(): Lease | undefined {
    return this.#retired ? undefined : this.#parts.admission.tryEnter()
  }

  async acquire(options: AcquireOptions): Promise<Lease> {
    options.signal?.throwIfAborted()
    return this.tryAcquire() ?? this.#wait(options)
  }

  /** Handles a report from the driver. Updates the endpoints before the capacity, so that no lease is granted on an empty set. */
  update(state: TargetState): void {
    const { admission, context, health, key } = this.#parts
    this.#endpoints.replace(state.ready)
    health.update()
    // Endpoints of a generation that is being scaled down must not get leases, even if the driver still reports them.
    if (this.#phase === 'draining') return
    admission.adjust()
    if (state.phases) this.#wake.report(state.phases)
    if (this.#endpoints.size > 0) this.#becomeAwake()
    else if (this.#phase === 'waking' && state.failure) this.#wake.crashed(state.failure)
    else if (this.#phase === 'awake') {
      // A target that ran and then stopped may well start again: the failure is reported, but the next request starts a wake.
      if (state.failure) context.observer.failed?.(key, state.failure)
      this.#sleep.replaceAll()
    } else if (this.#phase === 'asleep') this.#forgetIfUnused()
  }

  /** See Activator.report. */
  report(endpointId: string, fault: EndpointFault): void {
    this.#parts.health.report(endpointId, fault)
  }

  /** See Activator.sleep. */
  sleep(): Promise<boolean> {
    return this.#sleep.now()
  }

  /** See Activator.refresh: wakes the target if the policy keeps it awake, otherwise lets it become idle. */
  refresh(): void {
    if (this.#retired) return
    const { admission, keepWarm, replicas } = this.#parts
    keepWarm.look()
    if (this.#phase === 'asleep' && keepWarm.replicas > 0 && !this.#wake.failing) this.#wake.begin()
    admission.count()
    replicas.decide()
    if (this.#phase === 'asleep') this.#forgetIfUnused()
    else this.#sleep.watchIdleTime()
  }

  /** See Activator.retire. */
  async retire(signal?: AbortSignal): Promise<void> {
    const { admission, lock, scaling } = this.#parts
    this.#refuse(retired())
    this.#sleep.stop()
    this.#wake.endBackoff()
    await admission.none(signal)
    // Another activator may have woken the target without this one having been notified yet.
    const used = await lock.retire(signal)
    if (!used && this.#phase === 'asleep' && scaling.open === 0) await lock.release()
    if (used || this.#phase !== 'asleep' || scaling.open > 0) await this.#sleep.drain('whoever uses it')
    // If `retire` was called twice, the scale call that is still open drops the target.
    if (scaling.open === 0) this.#forget()
  }

  /**
   * Stops every timer and rejects all waiting requests. Running replicas keep running. Resolves when no lease is held, or when the
   * signal aborts.
   */
  close(reason: Error, signal?: AbortSignal): Promise<void> {
    this.#refuse(reason)
    this.#stop()
    this.#parts.lock.cancel()
    return this.#parts.admission.none(signal)
  }

  #stop(): void {
    this.#sleep.stop()
    this.#wake.stop()
    this.#parts.health.close()
    this.#parts.replicas.end()
  }

  #refuse(reason: Error): void {
    this.#retired = true
    this.#parts.keepWarm.stop()
    this.#parts.admission.refuse(reason)
  }

  /**
   * Called when another activator retires the target; that activator scales the target down once nobody uses it. If that
   * activator dies, or if the target is woken again by an activator that does not know of the retirement yet, the idle clock
   * of this activator scales the target down.
   */
  #retireHere(): void {
    if (this.#retired) return
    const { admission, lifecycle, lock, replicas } = this.#parts
    this.#refuse(retired())
    this.#wake.abandon(retired())
    if (this.#phase === 'waking') lifecycle.enter('asleep')
    replicas.end()
    void admission.none().then(async () => {
      await lock.release()
      this.#afterUse()
    })
  }

  async #wait(options: AcquireOptions): Promise<Lease> {
    const { admission, context, key, lock, replicas } = this.#parts
    const { clock, observer } = context
    try {
      if (this.#retired) throw retired()
      const { failing } = this.#wake
      if (failing) throw failing
      const began = clock.now()
      const cold = this.#phase !== 'awake'
      const place = admission.enter(options)
      if (this.#phase === 'asleep') this.#wake.begin()
      else if (this.#phase !== 'waking' && this.#endpoints.size === 0) this.#wake.limitWait()
      if (this.#phase === 'awake') this.#hold()
      lock.balance()
      const slot = await place
      const waited = clock.now() - began
      observer.granted?.(key, { waited, cold })
      return admission.lease(slot, cold ? { waited, phases: this.#wake.phases } : undefined)
    } catch (error) {
      if (error instanceof ScalerError) observer.refused?.(key, error.code)
      replicas.loadChanged()
      lock.balance()
      this.#afterUse()
      throw error
    }
  }

  #becomeAwake(): void {
    const { admission, context, keepWarm, key, lifecycle, lock, replicas } = this.#parts
    if (this.#phase === 'awake') {
      if (lock.hasShare) this.#wake.endWait()
      replicas.readyChanged()
      return lock.balance()
    }
    const wasWaking = this.#phase === 'waking'
    lifecycle.enter('awake')
    this.#wake.succeeded()
    keepWarm.becameReady()
    if (wasWaking) {
      const { waited, phases } = this.#wake
      context.observer.awake?.(key, { waited, phases })
    } else replicas.begin(this.#endpoints.size)
    if (admission.queued > 0) this.#hold()
    lock.balance()
    this.#afterUse()
  }

  /** Acquires a shared lock on a target that is already running. If the target is retired, waiting requests are rejected. */
  #hold(): void {
    const { admission, lock } = this.#parts
    if (lock.hasShare) return
    this.#wake.limitWait()
    lock.acquireShared()?.catch((error: Error) => {
      // Any other error means that a drain has cancelled the call. Waiting requests then start the next generation.
      if (error instanceof ScalerError) admission.refuse(error)
    })
  }

  #lockChanged(): void {
    if (this.#phase === 'draining') return
    const { admission, health, lock, replicas } = this.#parts
    admission.adjust()
    health.verify(lock.dead)
    // The activator that was going to call the driver has left, and this one now leads.
    if (this.#phase === 'waking' && lock.leads && !replicas.started) this.#wake.start()
    if (this.#phase !== 'awake') return
    if (this.#endpoints.size === 0)
      return this.#endpoints.dead.used.length === 0 ? this.#sleep.lostAll() : undefined
    if (lock.hasShare) this.#wake.endWait()
    else if (!admission.unused) this.#hold()
    // The leader waits for the word that this activator no longer uses the endpoints that drain.
    replicas.readyChanged()
    lock.balance()
  }

  #entered(phase: TargetPhase): void {
    const { context, key } = this.#parts
    if (phase !== 'waking') this.#wake.leaveTurn()
    if (phase === 'waking' || phase === 'awake') this.#sleep.endRetry()
    if (phase === 'awake') context.room?.entered(key)
    else if (phase === 'asleep') context.room?.left(key)
  }

  get #phase(): TargetPhase {
    return this.#parts.lifecycle.phase
  }

  get #endpoints(): EndpointSet {
    return this.#parts.admission.endpoints
  }

  /** Called after the release of the last lease and after each failed acquire: the target may now be unused. */
  #afterUse(): void {
    if (this.#phase === 'asleep') return this.#forgetIfUnused()
    if (this.#phase === 'awake' && this.#endpoints.size === 0) return this.#sleep.replaceAll()
    this.#sleep.restartIdleTime()
  }

  /** A generation has ended. Requests that still wait start the next one. */
  #ended(): void {
    const { admission, keepWarm, lock } = this.#parts
    if (this.#retired) return this.#forgetIfUnused()
    if (admission.queued > 0) return this.#wake.begin()
    if (keepWarm.replicas > 0) keepWarm.retryLater()
    // Released early, so that other activators that want to wake the target need not wait for this one.
    void lock.release()
    this.#forgetIfUnused()
  }

  /**
   * Drops the state of an unused target that is asleep; the next request creates it again. Does nothing while a scale call is
   * open or the driver still reports endpoints of the last generation, because a new object would know of neither.
   */
  #forgetIfUnused(): void {
    const { admission, keepWarm, scaling } = this.#parts
    const isPending =
      scaling.open > 0 || this.#endpoints.reportsUnusable || keepWarm.armed || this.#sleep.isPending
    if (!this.#wake.failing && admission.unused && !isPending) this.#forget()
  }

  #forget(): void {
    const { context, key, lock } = this.#parts
    this.#stop()
    lock.dispose()
    context.forget(key, this)
  }
}
