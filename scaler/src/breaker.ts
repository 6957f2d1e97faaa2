import PQueue from 'p-queue'
import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { queueTimedOut, ScalerError } from './errors.ts'

export interface BreakerLimits {
  /** The maximum number of waiting requests. */
  readonly depth: number
  /** The maximum total of the declared body sizes of the waiting requests, in bytes. */
  readonly bytes: number
  /** How long a request may wait while the target is awake, in ms; 0 = unlimited. */
  readonly wait: number
}

export interface EnterOptions {
  readonly signal?: AbortSignal | undefined
  readonly bytes?: number | undefined
  /** Overrides `BreakerLimits.wait`. */
  readonly wait?: number | undefined
}

/**
 * Each waiting request has its own abort controller, which is not aborted any more once the request has a place. p-queue
 * would end even a running task when the caller's signal aborts, and free a place that is still held.
 */
interface Waiter {
  readonly controller: AbortController
  readonly bytes: number
  /** See `BreakerLimits.wait`. */
  readonly limit: number
  /** When the limited part of its wait began. */
  since: number
}

/**
 * Limits how many requests of one target run and how many wait; at capacity 0 all wait. The algorithm is Knative's activator
 * breaker (queue depth + dynamic concurrency). Waiting requests are in a p-queue, which is paused while no place is free. A
 * request that finds a free place and no waiting requests bypasses the queue.
 */
export class Breaker {
  readonly #limits: () => BreakerLimits
  readonly #waiters = new Set<Waiter>()
  /** The queue. Created for the first waiting request, because most targets never need one. */
  #room: PQueue | undefined
  #waitingBytes = 0
  /** Fires when the next request has waited too long. */
  readonly #patience: Alarm
  readonly #clock: Clock
  /** Whether waiting is limited now. */
  #limited = false
  #capacity = 0
  #running = 0

  constructor(limits: () => BreakerLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
    this.#patience = new Alarm(clock)
  }

  get queued(): number {
    return this.#waiters.size
  }

  /** Infinity = unlimited. A smaller capacity does not interrupt running requests. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    this.#openRoom()
  }

  /**
   * Whether the target is awake, so that requests wait for a place and not for a wake. Only this part of a wait is limited by
   * `wait`; it begins anew each time the target becomes awake.
   */
  limitWaiting(limited: boolean): void {
    if (limited === this.#limited) return
    this.#limited = limited
    if (!limited) return this.#patience.stop()
    for (const waiter of this.#waiters) waiter.since = this.#clock.now()
    this.#watch()
  }

  /** Takes a place immediately. Returns false if no place is free; other requests wait only then. */
  tryEnter(): boolean {
    if (this.#running >= this.#capacity) return false
    this.#running++
    return true
  }

  /**
   * Waits for a place, calls `take`, and resolves to its result. `take` runs synchronously with the grant, before other code
   * could find that nobody uses the place. Rejects with SCALER_QUEUE_FULL, SCALER_QUEUE_TIMEOUT or the
   * signal's reason.
   */
  async enter<T>(options: EnterOptions, take: () => T): Promise<T> {
    const { signal, bytes = 0 } = options
    signal?.throwIfAborted()
    if (this.tryEnter()) return take()

    const limits = this.#limits()
    this.#refuseIfFull(bytes, limits)
    const limit = options.wait ?? limits.wait
    const waiter: Waiter = { controller: new AbortController(), bytes, limit, since: this.#clock.now() }
    const abort = (): void => this.#dismiss(waiter, signal?.reason)
    signal?.addEventListener('abort', abort)
    this.#waiters.add(waiter)
    this.#waitingBytes += bytes
    if (this.#limited && limit > 0) this.#watch(waiter)
    try {
      return await this.#wait(waiter, take)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Returns a place. Must be called once for each granted place. */
  leave(): void {
    this.#running--
    this.#openRoom()
  }

  /** Rejects all waiting requests with this reason. */
  refuse(reason: Error): void {
    for (const waiter of [...this.#waiters]) this.#dismiss(waiter, reason)
  }

  #refuseIfFull(bytes: number, limits: BreakerLimits): void {
    // A request that alone exceeds the limit may wait if no other bytes are waiting; otherwise it could never wait.
    const fits = this.#waitingBytes + bytes <= limits.bytes || this.#waitingBytes === 0
    if (this.queued < limits.depth && fits) return
    const message = 'Too many requests are waiting for this target. Try again shortly.'
    throw new ScalerError('SCALER_QUEUE_FULL', message, { retryAfter: 1 })
  }

  #wait<T>(waiter: Waiter, take: () => T): Promise<T> {
    const room = (this.#room ??= new PQueue())
    // Requests that bypassed the queue may have taken the last place since the queue was started.
    room.pause()
    return room.add(
      () => {
        this.#leaveRoom(waiter)
        this.#running++
        // Paused before `take`, which may read the breaker's state, and before p-queue could start another task.
        if (this.#running >= this.#capacity) room.pause()
        return take()
      },
      { signal: waiter.controller.signal },
    )
  }

  #openRoom(): void {
    if (this.#running < this.#capacity) this.#room?.start()
    else this.#room?.pause()
  }

  /** Sets the alarm for the first deadline: that of `added`, if the alarm is set for the others already. */
  #watch(added?: Waiter): void {
    const armed = added && this.#patience.armed
    let due = armed ? this.#patience.due : Infinity
    for (const { since, limit } of armed ? [added] : this.#waiters)
      if (limit > 0) due = Math.min(due, since + limit)
    if (due === Infinity || (armed && due === this.#patience.due)) return
    this.#patience.set(due - this.#clock.now(), () => this.#refuseLate())
  }

  #refuseLate(): void {
    const now = this.#clock.now()
    for (const waiter of [...this.#waiters]) {
      const { since, limit } = waiter
      if (limit > 0 && since + limit <= now) this.#dismiss(waiter, queueTimedOut(limit))
    }
    this.#watch()
  }

  /** Rejects a waiting request. Has no effect once its place is granted: a late abort must not free a place in use. */
  #dismiss(waiter: Waiter, reason: unknown): void {
    if (this.#leaveRoom(waiter)) waiter.controller.abort(reason)
  }

  #leaveRoom(waiter: Waiter): boolean {
    if (!this.#waiters.delete(waiter)) return false
    this.#waitingBytes -= waiter.bytes
    if (this.#waiters.size === 0) this.#patience.stop()
    return true
  }
}
