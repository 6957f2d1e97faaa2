import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { wakesFull } from './errors.ts'
import { FairQueue, QueueFull, type Turn } from './fair-queue.ts'
import type { TargetKey } from './types.ts'

/** How many targets are woken at once, and how many may wait for that. Groups of targets are served in turn. */
export interface WakeLimits {
  readonly atOnce: number
  /** Default: `atOnce`. */
  readonly atOncePerGroup?: number
  /** Wakes that may wait for their turn; one more is refused with SCALER_WAKES_FULL. */
  readonly waiting: number
  /** Default: `waiting`. */
  readonly waitingPerGroup?: number
  /** A wake that takes longer no longer counts, ms: slow starts must not hold up all others. */
  readonly turnLimit: number
  /** Whom a target belongs to; asked at each wake. Default: all targets are one group. */
  readonly groupOf?: (key: TargetKey) => string | Promise<string>
}

/** Many, so that only a stampede meets them. */
export const DEFAULT_WAKES: WakeLimits = { atOnce: 64, waiting: 10_000, turnLimit: 2_000 }

/** Bounds the wakes of all targets of an activator. A target that is awake has nothing to do with it. */
export class WakeTurns {
  readonly #clock: Clock
  readonly #limits: WakeLimits
  readonly #queue: FairQueue

  constructor(clock: Clock, limits: WakeLimits) {
    this.#clock = clock
    this.#limits = limits
    const { atOnce, atOncePerGroup = atOnce, waiting, waitingPerGroup = waiting } = limits
    this.#queue = new FairQueue({
      atOnce,
      waiting,
      atOncePerKey: atOncePerGroup,
      waitingPerKey: waitingPerGroup,
    })
  }

  of(key: TargetKey): WakeTurn {
    const { turnLimit, groupOf } = this.#limits
    return new WakeTurn(this.#clock, turnLimit, this.#queue, () => groupOf?.(key) ?? '')
  }
}

/** The turn of one target, which it takes for each of its wakes. */
export class WakeTurn {
  readonly #queue: FairQueue
  readonly #groupOf: () => string | Promise<string>
  readonly #limit: number
  readonly #alarm: Alarm
  #left: AbortController | undefined
  #turn: Turn | undefined

  constructor(clock: Clock, limit: number, queue: FairQueue, groupOf: () => string | Promise<string>) {
    this.#alarm = new Alarm(clock)
    this.#limit = limit
    this.#queue = queue
    this.#groupOf = groupOf
  }

  /** Whether it waits for its turn. */
  get waits(): boolean {
    return this.#left !== undefined
  }

  /**
   * True at once where nobody is before it: most wakes wait for no promise. Else a promise of whether it became this
   * target's turn: not when it has left meanwhile. Rejects with SCALER_WAKES_FULL.
   */
  take(): true | Promise<boolean> {
    this.leave()
    const group = this.#groupOf()
    const turn = typeof group === 'string' ? this.#queue.tryEnter(group) : undefined
    if (!turn) return this.#wait(group)
    this.#begin(turn)
    return true
  }

  /** The wake has ended, or is given up. */
  leave(): void {
    this.#left?.abort()
    this.#left = undefined
    this.#alarm.stop()
    this.#turn?.release()
    this.#turn = undefined
  }

  async #wait(group: string | Promise<string>): Promise<boolean> {
    const left = (this.#left = new AbortController())
    const { signal } = left
    try {
      const turn = await this.#queue.enter(await group, { signal })
      if (signal.aborted) turn.release()
      else this.#begin(turn)
      return !signal.aborted
    } catch (error) {
      if (signal.aborted) return false
      throw error instanceof QueueFull ? wakesFull(error) : error
    } finally {
      if (this.#left === left) this.#left = undefined
    }
  }

  #begin(turn: Turn): void {
    this.#turn = turn
    this.#alarm.set(this.#limit, () => this.leave())
  }
}
