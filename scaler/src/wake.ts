import type { Clock } from './clock.ts'
import type { ScalerError } from './errors.ts'
import type { Failure, Phase } from './types.ts'
import type { WakeTurn } from './wake-turns.ts'

/** ms after a failed wake in which requests get the same failure immediately, so that not every request starts a crashing app. */
export const FAILURE_BACKOFF = 1_000

/** The current or last wake of a target: its place in the queue of wakes, its phases, and why it failed. */
export class Wake {
  readonly turn: WakeTurn
  readonly #clock: Clock
  /** Only during a wake. */
  #ending: AbortController | undefined
  #began = 0
  /** How long this wake waited in the queue, in ms; undefined if it did not wait. */
  #queued: number | undefined
  #phases: readonly Phase[] = []
  #failure: { value: Failure; reason: ScalerError; until: number } | undefined

  constructor(clock: Clock, turn: WakeTurn) {
    this.#clock = clock
    this.turn = turn
  }

  /** Aborts when the wake has failed or is called off: the driver need not go on with it. */
  get signal(): AbortSignal | undefined {
    return this.#ending?.signal
  }

  /** The wake ends without a failure of the target. */
  abandon(reason: Error): void {
    this.#ending?.abort(reason)
  }

  begin(): void {
    this.#ending = new AbortController()
    this.#began = this.#clock.now()
    this.#queued = undefined
    this.#phases = []
    this.#failure = undefined
  }

  /** ms since the wake began. */
  get waited(): number {
    return this.#clock.now() - this.#began
  }

  get phases(): readonly Phase[] {
    return this.#phases
  }

  /** Takes over the phases that the driver reports. Their times count from the scale call, so the time in the queue is added. */
  report(phases: readonly Phase[]): void {
    const queued = this.#queued
    this.#phases =
      queued === undefined
        ? phases
        : [{ name: 'queued', at: queued }, ...phases.map(({ name, at }) => ({ name, at: at + queued }))]
  }

  /**
   * Waits for the wake's turn, or until the wake ends. Resolves to whether the wake had to wait; the caller then restarts the
   * readiness timeout.
   */
  async untilTurn(turn: Promise<boolean>): Promise<boolean> {
    const asked = this.#clock.now()
    if (!(await turn) || this.#clock.now() - asked < 1) return false
    this.#queued = this.waited
    this.report([])
    return true
  }

  failed(reason: ScalerError): Failure {
    this.#ending?.abort(reason)
    const value = reason.failure ?? { code: reason.code, message: reason.message }
    this.#failure = { value, reason, until: this.#clock.now() + FAILURE_BACKOFF }
    return value
  }

  succeeded(): void {
    this.#ending = undefined
    this.#failure = undefined
  }

  /** Set after a failed wake, until the next wake begins. */
  get failure(): Failure | undefined {
    return this.#failure?.value
  }

  /** The error that requests get immediately during the back-off after a failed wake. */
  get failing(): ScalerError | undefined {
    const failure = this.#failure
    return failure && this.#clock.now() < failure.until ? failure.reason : undefined
  }
}
