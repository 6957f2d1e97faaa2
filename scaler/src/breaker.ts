import PQueue from 'p-queue'
import { ScalerError } from './errors.ts'

export interface BreakerLimits {
  /** The maximum number of waiting requests. */
  readonly depth: number
  /** The maximum total of the declared body sizes of the waiting requests, in bytes. */
  readonly bytes: number
}

export interface EnterOptions {
  readonly signal?: AbortSignal | undefined
  readonly bytes?: number | undefined
}

/**
 * Each waiting request has its own abort controller, which is not aborted any more once the request has a place. p-queue
 * would end even a running task when the caller's signal aborts, and free a place that is still held.
 */
interface Waiter {
  readonly controller: AbortController
  readonly bytes: number
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
  #capacity = 0
  #running = 0

  constructor(limits: () => BreakerLimits) {
    this.#limits = limits
  }

  get queued(): number {
    return this.#waiters.size
  }

  /** Infinity = unlimited. A smaller capacity does not interrupt running requests. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    this.#openRoom()
  }

  /** Takes a place immediately. Returns false if no place is free or other requests are waiting. */
  tryEnter(): boolean {
    if (this.#running >= this.#capacity || this.#waiters.size > 0) return false
    this.#running++
    return true
  }

  /**
   * Waits for a place, calls `take`, and resolves to its result. `take` runs synchronously with the grant, before other code
   * could find that nobody uses the place. Rejects with SCALER_QUEUE_FULL or the signal's reason.
   */
  async enter<T>(options: EnterOptions, take: () => T): Promise<T> {
    const { signal, bytes = 0 } = options
    signal?.throwIfAborted()
    if (this.tryEnter()) return take()

    this.#refuseIfFull(bytes)
    const waiter: Waiter = { controller: new AbortController(), bytes }
    const abort = (): void => this.#dismiss(waiter, signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.add(waiter)
    this.#waitingBytes += bytes
    try {
      return await this.#wait(waiter, take)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Returns a place. Must be called once for each granted place. */
  leave(): void {
    this.#running--
    if (this.#waiters.size > 0) this.#openRoom()
  }

  /** Rejects all waiting requests with this reason. */
  refuse(reason: Error): void {
    for (const waiter of [...this.#waiters]) this.#dismiss(waiter, reason)
  }

  #refuseIfFull(bytes: number): void {
    const limits = this.#limits()
    // A request that alone exceeds the limit may wait if no other bytes are waiting; otherwise it could never wait.
    const fits = this.#waitingBytes + bytes <= limits.bytes || this.#waitingBytes === 0
    if (this.queued < limits.depth && fits) return
    const message = 'Too many requests are waiting for this target. Try again shortly.'
    throw new ScalerError('SCALER_QUEUE_FULL', message, { retryAfter: 1 })
  }

  #wait<T>(waiter: Waiter, take: () => T): Promise<T> {
    this.#room ??= new PQueue()
    // Requests that bypassed the queue may have taken the last place since the queue was started.
    this.#room.pause()
    return this.#room.add(
      () => {
        this.#leaveRoom(waiter)
        this.#running++
        // Paused before `take`, which may read the breaker's state, and before p-queue could start another task.
        if (this.#running >= this.#capacity) this.#room?.pause()
        return take()
      },
      { signal: waiter.controller.signal },
    )
  }

  #openRoom(): void {
    if (this.#running < this.#capacity) this.#room?.start()
    else this.#room?.pause()
  }

  /** Rejects a waiting request. Has no effect once its place is granted: a late abort must not free a place in use. */
  #dismiss(waiter: Waiter, reason: unknown): void {
    if (this.#leaveRoom(waiter)) waiter.controller.abort(reason)
  }

  #leaveRoom(waiter: Waiter): boolean {
    if (!this.#waiters.delete(waiter)) return false
    this.#waitingBytes -= waiter.bytes
    return true
  }
}
