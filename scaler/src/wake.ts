import type { Clock } from './clock.ts'
import type { ScalerError } from './errors.ts'
import type { Failure, Phase } from './types.ts'
import type { WakeTurn } from './wake-turns.ts'

/** After a failed wake the same failure is answered at once for this long: a crashing app is not started per request. */
const FAILURE_BACKOFF = 1_000

/** The present or last wake of a target: its turn among the wakes of all targets, its phases, and why it failed. */
export class Wake {
  readonly turn: WakeTurn
  readonly #clock: Clock
  #began = 0
  /** How long this wake waited for its turn, ms; undefined if it did not. */
  #queued: number | undefined
  #phases: readonly Phase[] = []
  #failure: { value: Failure; reason: ScalerError; until: number } | undefined

  constructor(clock: Clock, turn: WakeTurn) {
    this.#clock = clock
    this.turn = turn
  }

  begin(): void {
    this.#began = this.#clock.now()
    this.#queued = undefined
    this.#phases = []
    this.#failure = undefined
  }

  /** ms since it began. */
  get waited(): number {
    return this.#clock.now() - this.#began
  }

  get phases(): readonly Phase[] {
    return this.#phases
  }

  /** A driver counts from when it was asked. */
  report(phases: readonly Phase[]): void {
    const queued = this.#queued
    this.#phases =
      queued === undefined
        ? phases
        : [{ name: 'queued', at: queued }, ...phases.map(({ name, at }) => ({ name, at: at + queued }))]
  }

  /** Resolves to whether the wake had to wait for its turn: that time is not charged to it. Early when the wake ends. */
  async untilTurn(turn: Promise<boolean>): Promise<boolean> {
    const asked = this.#clock.now()
    if (!(await turn) || this.#clock.now() - asked < 1) return false
    this.#queued = this.waited
    this.report([])
    return true
  }

  failed(reason: ScalerError): Failure {
    const value = reason.failure ?? { code: reason.code, message: reason.message }
    this.#failure = { value, reason, until: this.#clock.now() + FAILURE_BACKOFF }
    return value
  }

  succeeded(): void {
    this.#failure = undefined
  }

  /** Set after a failed wake until the next one begins. */
  get failure(): Failure | undefined {
    return this.#failure?.value
  }

  /** What is answered at once, as long as the back-off lasts. */
  get failing(): ScalerError | undefined {
    const failure = this.#failure
    return failure && this.#clock.now() < failure.until ? failure.reason : undefined
  }
}
