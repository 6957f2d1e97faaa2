import type { Endpoint } from './types.ts'

interface Slot {
  readonly endpoint: Endpoint
  inFlight: number
  /** A soft fault: taken only when no other endpoint has room. */
  suspect: boolean
}

/** The ready endpoints of one target and how many leases each has out. */
export class EndpointSet {
  readonly #slots = new Map<string, Slot>()
  /** Not ready any more, but with leases out: one that comes back comes back with its load. */
  readonly #gone = new Map<string, Slot>()
  /** Never handed out again, though the driver may still report them for a moment. */
  readonly #dead = new Set<string>()
  #reported: readonly Endpoint[] = []

  get size(): number {
    return this.#slots.size
  }

  /** Whether the driver still reports endpoints that must not be handed out. */
  get lingering(): boolean {
    return this.#dead.size > 0
  }

  /** Takes over the driver's full ready set. */
  replace(ready: readonly Endpoint[]): void {
    this.#reported = ready
    const ids = new Set(ready.map((endpoint) => endpoint.id))
    for (const id of this.#dead) if (!ids.has(id)) this.#dead.delete(id)
    for (const id of this.#slots.keys()) if (!ids.has(id)) this.#remove(id)
    for (const endpoint of ready) {
      if (this.#dead.has(endpoint.id) || this.#slots.has(endpoint.id)) continue
      this.#slots.set(endpoint.id, this.#gone.get(endpoint.id) ?? { endpoint, inFlight: 0, suspect: false })
      this.#gone.delete(endpoint.id)
    }
  }

  /** Hard invalidation; returns whether it was known. */
  drop(id: string): boolean {
    const known = this.#remove(id)
    if (known) this.#dead.add(id)
    return known
  }

  dropAll(): void {
    for (const id of [...this.#slots.keys()]) this.drop(id)
  }

  /** Takes a drop back: what the driver reports is what is there. */
  revive(): void {
    this.#dead.clear()
    this.replace(this.#reported)
  }

  suspect(id: string): void {
    const slot = this.#slots.get(id)
    if (slot) slot.suspect = true
  }

  /**
   * The least loaded endpoint; `leave` gives its place back. `concurrency` is what one endpoint may hold: the caller's
   * capacity is that times `size`, so that one with room is always there. Throws when there is no endpoint at all.
   */
  pick(concurrency: number): { endpoint: Endpoint; leave: () => void } {
    let best: Slot | undefined
    for (const slot of this.#slots.values()) {
      if (!best || rank(slot, concurrency) < rank(best, concurrency)) best = slot
    }
    if (!best) throw new Error('A place was granted while no endpoint is ready.')
    const slot = best
    slot.inFlight++
    const leave = (): void => {
      slot.inFlight--
      if (slot.inFlight === 0 && this.#gone.get(slot.endpoint.id) === slot)
        this.#gone.delete(slot.endpoint.id)
    }
    return { endpoint: slot.endpoint, leave }
  }

  #remove(id: string): boolean {
    const slot = this.#slots.get(id)
    if (slot && slot.inFlight > 0) this.#gone.set(id, slot)
    return this.#slots.delete(id)
  }
}

const SUSPECT_PENALTY = 1e6
const FULL_PENALTY = 1e9

function rank(slot: Slot, concurrency: number): number {
  const full = slot.inFlight >= concurrency
  return slot.inFlight + (slot.suspect ? SUSPECT_PENALTY : 0) + (full ? FULL_PENALTY : 0)
}
