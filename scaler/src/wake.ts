import { Alarm } from './alarm.ts'
import { cutOff, ScalerError, targetFailed, wakeNotBegun, wakeTimedOut } from './errors.ts'
import type { TargetParts } from './target-parts.ts'
import type { Failure, Phase } from './types.ts'
import type { WakeTurn } from './wake-turns.ts'

/** ms after a failed wake in which requests get the same failure immediately, so that not every request starts a crashing app. */
const FAILURE_BACKOFF = 1_000
/** The wake was refused. The target itself has not failed. */
const CALLED_OFF: ReadonlySet<string> = new Set([
  'SCALER_WAKES_FULL',
  'SCALER_AWAKE_FULL',
  'SCALER_OUTDATED',
  'SCALER_CUT_OFF',
])

export interface WakeEvents {
  /** The wake has failed. What it has started must be stopped. */
  failed(): void
  /** The back-off after a failed wake has ended. */
  backoffEnded(): void
}

/** Wakes one target, and knows how the current or last wake goes: its phases, how long requests wait for it, why it failed. */
export class Wake {
  readonly #parts: TargetParts
  readonly #events: WakeEvents
  readonly #turn: WakeTurn
  readonly #timeout: Alarm
  readonly #backoff: Alarm
  /** Only during a wake. */
  #ending: AbortController | undefined
  #began = 0
  /** How long this wake waited in the queue, in ms; undefined if it did not wait. */
  #queued: number | undefined
  #phases: readonly Phase[] = []
  #failure: { readonly value: Failure; readonly reason: ScalerError; readonly until: number } | undefined

  constructor(parts: TargetParts, events: WakeEvents) {
    const { context, key } = parts
    this.#parts = parts
    this.#events = events
    this.#turn = context.wakeTurn(key)
    this.#timeout = new Alarm(context.clock)
    this.#backoff = new Alarm(context.clock)
  }

  /** Aborts when the wake has failed or is called off: the driver need not go on with it. */
  get signal(): AbortSignal | undefined {
    return this.#ending?.signal
  }

  /** ms since the wake began. */
  get waited(): number {
    return this.#parts.context.clock.now() - this.#began
  }

  get phases(): readonly Phase[] {
    return this.#phases
  }

  /** Set after a failed wake, until the next wake begins. */
  get failure(): Failure | undefined {
    return this.#failure?.value
  }

  /** The error that requests get immediately during the back-off after a failed wake. */
  get failing(): ScalerError | undefined {
    const failure = this.#failure
    return failure && this.#parts.context.clock.now() < failure.until ? failure.reason : undefined
  }

  begin(): void {
    const { context, key, lifecycle, replicas } = this.#parts
    const generation = lifecycle.enter('waking')
    this.#ending = new AbortController()
    this.#began = context.clock.now()
    this.#queued = undefined
    this.#phases = []
    this.#failure = undefined
    context.observer.waking?.(key)
    this.#limit(generation)
    replicas.begin(0)
    this.start()
  }

  /**
   * Asks the driver for the replicas, if this activator leads. Not bound to the signal of any request: one wake serves all waiting
   * requests, and continues when some of them abort.
   */
  start(): void {
    const { lifecycle, scaling } = this.#parts
    const { generation } = lifecycle
    scaling
      .run(() => this.#startInTurn(generation))
      .catch((error: Error) => {
        if (!this.#isWaking(generation) || this.#parts.isRetired()) return
        const known = error instanceof ScalerError
        if (known && CALLED_OFF.has(error.code)) this.#callOff(error)
        else this.#fail(known ? error : targetFailed({ code: 'SCALER_SCALE_FAILED', message: error.message }))
      })
  }

  /** Takes over the phases that the driver reports. Their times count from the scale call, so the time in the queue is added. */
  report(phases: readonly Phase[]): void {
    const queued = this.#queued
    this.#phases =
      queued === undefined
        ? phases
        : [{ name: 'queued', at: queued }, ...phases.map(({ name, at }) => ({ name, at: at + queued }))]
  }

  /** The driver reports that the target has failed. */
  crashed(failure: Failure): void {
    this.#fail(targetFailed(failure))
  }

  /** The target is awake. */
  succeeded(): void {
    this.#ending = undefined
    this.#failure = undefined
    this.endWait()
  }

  /** Limits how long requests wait for a scale-down that hangs or for a shared lock that cannot be acquired. */
  limitWait(): void {
    if (this.#timeout.armed) return
    const { readinessTimeout } = this.#parts.policy()
    this.#timeout.set(readinessTimeout, () => this.#parts.admission.refuse(wakeTimedOut(readinessTimeout)))
  }

  endWait(): void {
    this.#timeout.stop()
  }

  /** What runs for the wake has no purpose any more. */
  abandon(reason: Error): void {
    this.#timeout.stop()
    this.#ending?.abort(reason)
  }

  endBackoff(): void {
    this.#backoff.stop()
  }

  /** Must be called when the target enters any phase but `waking`: lets the next wake have its turn. */
  leaveTurn(): void {
    this.#turn.leave()
  }

  /** Stops all timers. */
  stop(): void {
    this.#timeout.stop()
    this.#backoff.stop()
    this.#turn.leave()
  }

  async #startInTurn(generation: number): Promise<void> {
    const { context, key, lock, replicas } = this.#parts
    const mayStart = (): boolean =>
      this.#parts.lifecycle.generation === generation && lock.leads && !replicas.started
    await lock.acquireShared()
    if (!mayStart()) return
    const turn = this.#isWaking(generation) ? this.#turn.take() : true
    // Time spent in the queue does not count towards the readiness timeout.
    if (turn !== true && (await this.#untilTurn(turn))) this.#limit(generation)
    if (context.room && this.#isWaking(generation) && mayStart()) {
      await context.room.admit(key)
      // Meanwhile another activator may have retired the target.
      if (this.#parts.lifecycle.phase === 'asleep') context.room.left(key)
    }
    if (mayStart()) await replicas.start()
    // Another activator starts the replicas, or the wake has ended.
    if (!replicas.started || !this.#isWaking(generation)) this.#turn.leave()
  }

  /** Resolves to whether the wake had to wait. */
  async #untilTurn(turn: Promise<boolean>): Promise<boolean> {
    const { clock } = this.#parts.context
    const asked = clock.now()
    if (!(await turn) || clock.now() - asked < 1) return false
    this.#queued = this.waited
    this.report([])
    return true
  }

  #isWaking(generation: number): boolean {
    const { lifecycle } = this.#parts
    return lifecycle.generation === generation && lifecycle.phase === 'waking'
  }

  #limit(generation: number): void {
    const { readinessTimeout } = this.#parts.policy()
    this.#timeout.set(readinessTimeout, () => {
      if (!this.#isWaking(generation)) return
      const { lock, replicas } = this.#parts
      if (this.#turn.waits) this.#callOff(wakeNotBegun(readinessTimeout))
      // Nobody knows who leads. The target is not to blame.
      else if (lock.isCutOff && !replicas.started) this.#callOff(cutOff())
      else this.#fail(wakeTimedOut(readinessTimeout))
    })
  }

  /**
   * Cancels a wake that has not begun, and rejects all waiting requests with the reason. The target itself has not failed, so
   * the next request starts another wake.
   */
  #callOff(reason: ScalerError): void {
    const { admission, lifecycle, replicas } = this.#parts
    this.#ending?.abort(reason)
    this.#timeout.stop()
    replicas.end()
    lifecycle.enter('asleep')
    admission.refuse(reason)
    this.#parts.ended()
  }

  /** Rejects all waiting requests with the reason, and all that arrive during the back-off. */
  #fail(reason: ScalerError): void {
    const { admission, context, key } = this.#parts
    this.#ending?.abort(reason)
    const value = reason.failure ?? { code: reason.code, message: reason.message }
    this.#failure = { value, reason, until: context.clock.now() + FAILURE_BACKOFF }
    admission.refuse(reason)
    context.observer.failed?.(key, value)
    this.#backoff.set(FAILURE_BACKOFF, () => this.#events.backoffEnded())
    this.#events.failed()
  }
}
