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

/**
 * p-queue's own signal would also end a task that runs, and a place that is held must be kept: so each waiter has a
 * controller of its own, which nobody aborts once the place is granted.
 */
interface Waiter {
  readonly controller: AbortController
  readonly bytes: number
}

/**
 * Bounds how many requests run and how many wait at one target; capacity 0 lets all wait. The algorithm is Knative's
 * activator breaker (queue depth + dynamic concurrency). p-queue is the waiting room, paused while there is no place;
 * who finds a place and nobody waiting does not go through it.
 */
export class Breaker {
  readonly #limits: () => BreakerLimits
  readonly #waiters = new Set<Waiter>()
  /** Made for the first who waits: most targets never have one. */
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

  /** Infinity = unlimited. A smaller capacity lets those who run end in their own time. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    this.#openRoom()
  }

  /** A place at once, unless there is none or others wait for it. */
  tryEnter(): boolean {
    if (this.#running >= this.#capacity || this.#waiters.size > 0) return false
    this.#running++
    return true
  }

  /**
   * Waits for a place and resolves to what `take` returned, which runs in the same instant as the grant: before anybody
   * else can act on a place that nobody seems to hold. Rejects with SCALER_QUEUE_FULL, or the signal's reason.
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

  /** Gives a place back: once for each that was granted. */
  leave(): void {
    this.#running--
    if (this.#waiters.size > 0) this.#openRoom()
  }

  /** Rejects all who wait with this reason. */
  refuse(reason: Error): void {
    for (const waiter of [...this.#waiters]) this.#dismiss(waiter, reason)
  }

  #refuseIfFull(bytes: number): void {
    const limits = this.#limits()
    // One that is larger by itself could never wait.
    const fits = this.#waitingBytes + bytes <= limits.bytes || this.#waitingBytes === 0
    if (this.queued < limits.depth && fits) return
    const message = 'Too many requests are waiting for this target. Try again shortly.'
    throw new ScalerError('SCALER_QUEUE_FULL', message, { retryAfter: 1 })
  }

  #wait<T>(waiter: Waiter, take: () => T): Promise<T> {
    this.#room ??= new PQueue()
    // Those who went past it may have taken the last place since it was opened.
    this.#room.pause()
    return this.#room.add(
      () => {
        this.#leaveRoom(waiter)
        this.#running++
        // Before `take`, which may look at the breaker; p-queue starts no further task in this turn then.
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

  /** Nothing happens to one whose place is granted: an abort that comes too late must not free a place in use. */
  #dismiss(waiter: Waiter, reason: unknown): void {
    if (this.#leaveRoom(waiter)) waiter.controller.abort(reason)
  }

  #leaveRoom(waiter: Waiter): boolean {
    if (!this.#waiters.delete(waiter)) return false
    this.#waitingBytes -= waiter.bytes
    return true
  }
}
