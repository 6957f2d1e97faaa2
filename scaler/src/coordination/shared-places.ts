import type { Demand } from '../target-lock.ts'
import { fairPart, othersWait, sum, withPlaces, type Ledger, type Places } from './ledger.ts'
import type { MemberId } from './members.ts'

/** The parts of a lock that its `SharedPlaces` use. */
export interface PlacesHost {
  me(): MemberId
  /** The last known ledger, without dead members. */
  ledger(): Ledger
  /** Whether this activator holds a shared lock that the others respect. */
  granted(): boolean
  demand(): Demand
  /** Updates the ledger, and resolves to the stored one. */
  step(change: (now: Ledger) => Ledger): Promise<Ledger>
  changed(): void
}

/**
 * How many requests this activator may have at each endpoint, so that all activators together have `concurrency` at most.
 * Between two updates of the ledger, the activator uses the places that it was granted, or fewer. It keeps them while the store
 * does not answer.
 */
export class SharedPlaces {
  readonly #host: PlacesHost
  readonly #places = new Map<string, number>()
  #balancing = false

  constructor(host: PlacesHost) {
    this.#host = host
  }

  of(endpointId: string, concurrency: number): number {
    return concurrency === Infinity ? Infinity : (this.#places.get(endpointId) ?? 0)
  }

  clear(): void {
    this.#places.clear()
  }

  handsOver(endpointId: string): boolean {
    // Called after every request, so the cheapest checks come first.
    if (this.#places.size === 0 || !this.#host.granted()) return false
    const me = this.#host.me()
    const ledger = this.#host.ledger()
    if (!othersWait(ledger, me)) return false
    const { concurrency, endpoints } = this.#host.demand()
    if (concurrency === Infinity) return false
    const mine = sum(Object.fromEntries(this.#places))
    if (mine <= fairPart(ledger, { endpoints, concurrency })) return false
    const left = (this.#places.get(endpointId) ?? 0) - 1
    if (left < 0) return false
    this.#places.set(endpointId, left)
    this.balance()
    return true
  }

  balance(): void {
    const host = this.#host
    if (this.#balancing || !host.granted()) return
    const demand = host.demand()
    if (demand.concurrency === Infinity) return
    this.#giveUpUnused(demand.load)
    const ledger = host.ledger()
    if (withPlaces(ledger, host.me(), this.#kept(ledger), demand) === ledger) return
    this.#balancing = true
    host
      .step((now) => withPlaces(now, host.me(), this.#kept(now), host.demand()))
      .then(
        (stored) => {
          this.#balancing = false
          if (host.granted()) this.take(stored)
          // The demand may have changed in the meantime.
          this.balance()
        },
        () => {
          this.#balancing = false
        },
      )
  }

  /** Takes the places over that the stored ledger grants. */
  take(stored: Ledger): void {
    const places = stored.shares[this.#host.me()]?.places ?? {}
    const ids = Object.keys(places)
    const same = this.#places.size === ids.length && ids.every((id) => this.#places.get(id) === places[id])
    if (same) return
    this.#places.clear()
    for (const [id, count] of Object.entries(places)) this.#places.set(id, count)
    this.#host.changed()
  }

  #giveUpUnused(load: Places): void {
    if (!othersWait(this.#host.ledger(), this.#host.me())) return
    let fewer = false
    for (const [id, places] of this.#places) {
      const filled = Math.min(places, load[id] ?? 0)
      fewer ||= filled < places
      this.#places.set(id, filled)
    }
    if (fewer) this.#host.changed()
  }

  /**
   * The places that this activator keeps: all its places at the current endpoints, and the places that its requests still occupy
   * at other endpoints or have occupied since before it lost its shared lock.
   */
  #kept(ledger: Ledger): Places {
    const { load, endpoints } = this.#host.demand()
    const known = ledger.shares[this.#host.me()]?.places ?? {}
    const kept: Record<string, number> = {}
    for (const id of new Set([...endpoints, ...Object.keys(load)])) {
      const filled = Math.min(load[id] ?? 0, Math.max(known[id] ?? 0, this.#places.get(id) ?? 0))
      const places = endpoints.includes(id) ? Math.max(filled, this.#places.get(id) ?? 0) : filled
      if (places > 0) kept[id] = places
    }
    return kept
  }
}
