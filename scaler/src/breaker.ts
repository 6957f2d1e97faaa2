import PQueue from 'p-queue'
import { ScalerError } from './errors.ts'

export interface BreakerLimits {
  /** How many may wait. */
  readonly depth: number
  /** Declared body bytes of those that wait, together. */
  readonly bytes: number
}

export interface EnterOptions {
  readonly signal?: AbortSignal | undefined
  readonly bytes?: number | undefined
}

/** A granted place: what `take` returned at the moment of the grant, and the function that gives the place back. */
export interface Place<T> {
  readonly taken: T
  /** Idempotent. */
  readonly leave: () => void
}

/**
 * p-queue's own signal would also end a task that runs; a lease out must keep its place, so each waiter has a
 * controller of its own that nobody aborts once the place is granted.
 */
interface Waiter {
  readonly controller: AbortController
  readonly bytes: number
}

/**
 * Bounds how many requests run and how many wait at one target; capacity 0 lets all wait. The algorithm is
 * Knative's activator breaker (queue depth + dynamic concurrency), on p-queue.
 */
export class Breaker {
  readonly #queue = new PQueue({ autoStart: false })
  readonly #limits: () => BreakerLimits
  readonly #waiters = new Set<Waiter>()
  #waitingBytes = 0
  #capacity = 0
  /** p-queue hands a place on a few microtasks after it is given back; this is exact at once. */
  #running = 0

  constructor(limits: () => BreakerLimits) {
    this.#limits = limits
  }

  get queued(): number {
    return this.#waiters.size
  }

  get capacity(): number {
    return this.#capacity
  }

  /** Infinity = unlimited. A smaller capacity lets those who run end in their own time. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    if (capacity < 1) {
      this.#queue.pause()
      return
    }
    this.#queue.concurrency = capacity
    this.#queue.start()
  }

  /**
   * Waits for a place. `take` runs in the same instant as the grant, before anybody else can act on a place that
   * nobody seems to hold. Rejects with SCALER_QUEUE_FULL, or the signal's reason.
   */
  async enter<T>(options: EnterOptions, take: () => T): Promise<Place<T>> {
    const { signal, bytes = 0 } = options
    signal?.throwIfAborted()
    const free = !this.#queue.isPaused && this.#queue.size === 0 && this.#queue.pending < this.#capacity
    if (free) return this.#place(undefined, take)

    this.#refuseIfFull(bytes)
    const waiter: Waiter = { controller: new AbortController(), bytes }
    const abort = (): void => this.#dismiss(waiter, signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.add(waiter)
    this.#waitingBytes += bytes
    try {
      return await this.#place(waiter, take)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Rejects all who wait with this reason. */
  refuse(reason: Error): void {
    for (const waiter of [...this.#waiters]) this.#dismiss(waiter, reason)
  }

  #refuseIfFull(bytes: number): void {
    const limits = this.#limits()
    const waiting = this.queued + 1 - Math.max(0, this.#capacity - this.#running)
    if (waiting <= 0 || (waiting <= limits.depth && this.#waitingBytes + bytes <= limits.bytes)) return
    const message = 'Too many requests are waiting for this target. Try again shortly.'
    throw new ScalerError('SCALER_QUEUE_FULL', message, { retryAfter: 1 })
  }

  /** Nothing happens to one whose place is granted: an abort that comes too late must not free a place in use. */
  #dismiss(waiter: Waiter, reason: unknown): void {
    if (this.#leaveQueue(waiter)) waiter.controller.abort(reason)
  }

  #leaveQueue(waiter: Waiter): boolean {
    if (!this.#waiters.delete(waiter)) return false
    this.#waitingBytes -= waiter.bytes
    return true
  }

  #place<T>(waiter: Waiter | undefined, take: () => T): Promise<Place<T>> {
    return new Promise((resolve, reject) => {
      const task = (): Promise<void> => {
        if (waiter) this.#leaveQueue(waiter)
        const taken = take()
        this.#running++
        return new Promise((end) => {
          let left = false
          const leave = (): void => {
            if (left) return
            left = true
            this.#running--
            end()
          }
          resolve({ taken, leave })
        })
      }
      this.#queue.add(task, waiter ? { signal: waiter.controller.signal } : {}).catch(reject)
    })
  }
}
