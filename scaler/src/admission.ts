import { Breaker } from './breaker.ts'
import type { Clock } from './clock.ts'
import { LeaseBook } from './lease-book.ts'
import { SlotLease, type ColdStart } from './lease.ts'
import { EndpointSet, type Slot } from './picker.ts'
import type { Demand, TargetLock } from './target-lock.ts'
import type { AcquireOptions, Lease, TargetPolicy } from './types.ts'

/** The parts of a target that its admission uses. */
export interface AdmissionHost {
  readonly clock: Clock
  policy(): TargetPolicy
  readonly lock: () => TargetLock
  /** A request has arrived. */
  arrived(): void
  /** Requests have ended. */
  loadChanged(): void
  /** The last lease has been released. */
  unused(): void
}

/** Admits the requests of one target: holds its endpoints, its queue of waiting requests and its held leases. */
export class Admission {
  readonly endpoints = new EndpointSet()
  readonly #host: AdmissionHost
  readonly #breaker: Breaker
  readonly #leases: LeaseBook

  constructor(host: AdmissionHost) {
    this.#host = host
    this.#breaker = new Breaker(() => {
      const { queueDepth, queueBytes, queueTimeout } = host.policy()
      return { depth: queueDepth, bytes: queueBytes, wait: queueTimeout }
    }, host.clock)
    this.#leases = new LeaseBook(() => host.unused())
  }

  get inFlight(): number {
    return this.#leases.count
  }

  get queued(): number {
    return this.#breaker.queued
  }

  get unused(): boolean {
    return this.#leases.count === 0 && this.#breaker.queued === 0
  }

  get demand(): Demand {
    const { active, load } = this.endpoints
    return { endpoints: active, concurrency: this.#concurrency(), load, waiting: this.#breaker.queued }
  }

  /** The fast path that most requests take: without a promise, timer or closure. */
  tryEnter(): Lease | undefined {
    this.#host.lock().check()
    if (!this.#breaker.tryEnter()) return undefined
    const slot = this.#take()
    this.#host.arrived()
    return new SlotLease(slot, this.#giveBack)
  }

  /** Waits for a place. The caller turns the place into a lease with `lease`. */
  enter(options: AcquireOptions): Promise<Slot> {
    this.#host.lock().check()
    const { signal, bytes, queueTimeout: wait } = options
    const place = this.#breaker.enter({ signal, bytes, wait }, () => this.#take())
    this.#host.arrived()
    return place
  }

  lease(slot: Slot, coldStart?: ColdStart): Lease {
    return new SlotLease(slot, this.#giveBack, coldStart)
  }

  /** Rejects all waiting requests. */
  refuse(reason: Error): void {
    this.#breaker.refuse(reason)
  }

  /** Resolves when no lease is held, or when the signal aborts. */
  none(signal?: AbortSignal): Promise<void> {
    return this.#leases.none(signal)
  }

  /** Must be called after a change of the endpoints, the policy or the lock. Updates the endpoints before the capacity. */
  adjust(): void {
    const lock = this.#host.lock()
    for (const id of lock.terminated) this.endpoints.drop(id)
    this.endpoints.setDraining(lock.draining)
    this.count()
  }

  /** Recomputes the capacity. Must be called when endpoints start to drain or are dropped. */
  count(): void {
    const lock = this.#host.lock()
    // A waiting request may get a place.
    lock.check()
    const concurrency = this.#concurrency()
    const capacity = this.endpoints.allot((id) => lock.places(id, concurrency))
    this.#breaker.setCapacity(lock.hasShare ? capacity : 0)
    this.#breaker.limitWaiting(lock.hasShare && this.endpoints.size > 0)
  }

  #take(): Slot {
    this.#leases.take()
    return this.endpoints.pick()
  }

  readonly #giveBack = (slot: Slot): void => {
    // The place goes to a waiting request.
    if (this.#breaker.queued > 0) this.#host.lock().check()
    const lost = this.endpoints.leave(slot)
    if (this.#host.lock().handsOver(slot.endpoint.id) || lost) this.count()
    this.#breaker.leave()
    this.#leases.give()
    this.#host.loadChanged()
  }

  /** The maximum number of leases at one endpoint, of all activators together. */
  #concurrency(): number {
    return this.#host.policy().concurrency || Infinity
  }
}
