import { Breaker } from './breaker.ts'
import { LeaseBook } from './lease-book.ts'
import { SlotLease, type ColdStart } from './lease.ts'
import { EndpointSet, type Slot } from './picker.ts'
import type { Demand, TargetLock } from './target-lock.ts'
import type { AcquireOptions, Lease, TargetPolicy } from './types.ts'

/** What a gate needs of the target behind it. */
export interface GateHost {
  policy(): TargetPolicy
  readonly lock: () => TargetLock
  /** Requests have come or ended. */
  loadChanged(): void
  /** The last lease is back. */
  unused(): void
}

/** Who may send a request to which endpoint, who waits, and what is out. */
export class Gate {
  readonly endpoints = new EndpointSet()
  readonly #host: GateHost
  readonly #breaker: Breaker
  readonly #leases: LeaseBook

  constructor(host: GateHost) {
    this.#host = host
    this.#breaker = new Breaker(() => {
      const { queueDepth, queueBytes } = host.policy()
      return { depth: queueDepth, bytes: queueBytes }
    })
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

  /** The way of most requests: no promise, no timer, no closure. */
  tryEnter(): Lease | undefined {
    if (!this.#breaker.tryEnter()) return undefined
    const slot = this.#take()
    this.#host.loadChanged()
    return new SlotLease(slot, this.#giveBack)
  }

  /** Waits for a place, which `lease` makes a lease of. */
  enter(options: AcquireOptions): Promise<Slot> {
    const place = this.#breaker.enter(options, () => this.#take())
    this.#host.loadChanged()
    return place
  }

  lease(slot: Slot, coldStart?: ColdStart): Lease {
    return new SlotLease(slot, this.#giveBack, coldStart)
  }

  /** Rejects all who wait. */
  refuse(reason: Error): void {
    this.#breaker.refuse(reason)
  }

  /** Resolves once no lease is out, or the signal fires. */
  none(signal?: AbortSignal): Promise<void> {
    return this.#leases.none(signal)
  }

  /** To be called whenever the endpoints, the policy or the lock have changed: endpoints first, then capacity. */
  adjust(): void {
    const lock = this.#host.lock()
    for (const id of lock.terminated) this.endpoints.drop(id)
    this.endpoints.setDraining(lock.draining)
    this.count()
  }

  /** To be called when endpoints drain or are dropped. */
  count(): void {
    const lock = this.#host.lock()
    const concurrency = this.#concurrency()
    const capacity = this.endpoints.allot((id) => lock.places(id, concurrency))
    this.#breaker.setCapacity(lock.hasShare ? capacity : 0)
  }

  #take(): Slot {
    this.#leases.take()
    return this.endpoints.pick()
  }

  readonly #giveBack = (slot: Slot): void => {
    const lost = this.endpoints.leave(slot)
    if (this.#host.lock().handsOver(slot.endpoint.id) || lost) this.count()
    this.#breaker.leave()
    this.#leases.give()
    this.#host.loadChanged()
  }

  /** How many leases one endpoint may have out, of all activators together. */
  #concurrency(): number {
    return this.#host.policy().concurrency || Infinity
  }
}
