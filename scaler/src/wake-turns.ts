import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { wakesFull } from './errors.ts'
import { FairQueue, QueueFull, type Turn } from './fair-queue.ts'
import type { TargetKey } from './types.ts'

/** How many targets are woken at once, and how many wakes may wait in the queue. The queue serves groups of targets in turn. */
export interface WakeLimits {
  readonly atOnce: number
  /** Default: `atOnce`. */
  readonly atOncePerGroup?: number | undefined
  /** The maximum number of waiting wakes; further ones are refused with SCALER_WAKES_FULL. */
  readonly waiting: number
  /** Default: `waiting`. */
  readonly waitingPerGroup?: number | undefined
  /** ms after which a wake no longer counts towards `atOnce`, so that slow starts do not block all other wakes. */
  readonly turnLimit: number
  /** Returns the group of a target, such as its owner. Called at each wake. Default: all targets are in one group. */
  readonly groupOf?: ((key: TargetKey) => string | Promise<string>) | undefined
}

/** High enough that they only take effect when very many targets are woken at once. */
export const DEFAULT_WAKES: WakeLimits = { atOnce: 64, waiting: 10_000, turnLimit: 2_000 }

/** Limits the concurrent wakes of all targets of an activator. */
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
    return new WakeTurn(this.#clock, turnLimit, this.#queue, groupOf && (() => groupOf(key)))
  }
}

/** The access of one target to the queue of wakes. The target takes a turn for each of its wakes. */
export class WakeTurn {
  readonly #queue: FairQueue
  /** Undefined if all targets are in one group. */
  readonly #groupOf: (() => string | Promise<string>) | undefined
  readonly #limit: number
  readonly #alarm: Alarm
  #left: AbortController | undefined
  #turn: Turn | undefined

  constructor(
    clock: Clock,
    limit: number,
    queue: FairQueue,
    groupOf: (() => string | Promise<string>) | undefined,
  ) {
    this.#alarm = new Alarm(clock)
    this.#limit = limit
    this.#queue = queue
    this.#groupOf = groupOf
  }

  /** Whether the target is waiting for its turn. */
  get waits(): boolean {
    return this.#left !== undefined
  }

  /**
   * Takes a turn. Returns true, without a promise, if the target need not wait, as in most wakes. Otherwise resolves to true
   * when it is the target's turn, or to false after `leave`. Rejects with SCALER_WAKES_FULL.
   */
  take(): true | Promise<boolean> {
    this.leave()
    const group = this.#groupOf?.() ?? ''
    const turn = typeof group === 'string' ? this.#queue.tryEnter(group) : undefined
    if (!turn) return this.#wait(group)
    this.#begin(turn)
    return true
  }

  /** Releases the turn, or stops waiting for it, because the wake has ended or was cancelled. */
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
      throw error instanceof QueueFull ? wakesFull(error, this.#groupOf !== undefined) : error
    } finally {
      if (this.#left === left) this.#left = undefined
    }
  }

  #begin(turn: Turn): void {
    this.#turn = turn
    this.#alarm.set(this.#limit, () => this.leave())
  }
}
