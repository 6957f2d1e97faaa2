import type { Endpoint } from './types.ts'

/** One endpoint and how many leases it has out. */
export interface Slot {
  readonly endpoint: Endpoint
  inFlight: number
  /** How many leases it may have out; Infinity = any number. */
  places: number
  /** A soft fault: taken only when no other endpoint has room. */
  suspect: boolean
  /** It gets no new leases, and is to be stopped once those it has have come back. */
  draining: boolean
}

/** Ids are never used again: news are not so late that more would matter. */
const MAX_STOPPED = 100

/** The ready endpoints of one target and how many leases each has out. */
export class EndpointSet {
  readonly #slots = new Map<string, Slot>()
  /** Not ready any more, but with leases out: one that comes back comes back with its load. */
  readonly #gone = new Map<string, Slot>()
  /** Never handed out again, though the driver may still report them for a moment. */
  readonly #unusable = new Set<string>()
  /** The last that were stopped: of these there may be news to come that were on their way then. */
  #stopped: readonly string[] = []
  /** While the target is scaled down. */
  #scalingDown = false
  #reported: readonly Endpoint[] = []

  get size(): number {
    return this.#slots.size
  }

  /** Whether the driver still reports endpoints that must not be handed out. */
  get reportsUnusable(): boolean {
    return this.#unusable.size > 0
  }

  get ids(): string[] {
    return [...this.#slots.keys()]
  }

  /** Those that get new leases. */
  get active(): string[] {
    return this.ids.filter((id) => !this.#slots.get(id)?.draining)
  }

  /** Those that the driver last reported, whether they may be handed out or not. */
  get reported(): string[] {
    return this.#reported.map(({ id }) => id)
  }

  /** Takes over the driver's full ready set. */
  replace(ready: readonly Endpoint[]): void {
    this.#reported = ready
    if (this.#scalingDown) return
    const ids = new Set(ready.map((endpoint) => endpoint.id))
    for (const id of this.#unusable) if (!ids.has(id)) this.#unusable.delete(id)
    for (const id of this.#slots.keys()) if (!ids.has(id)) this.#remove(id)
    for (const endpoint of ready) {
      if (this.#stopped.includes(endpoint.id)) this.#unusable.add(endpoint.id)
      if (this.#unusable.has(endpoint.id) || this.#slots.has(endpoint.id)) continue
      this.#slots.set(endpoint.id, this.#gone.get(endpoint.id) ?? newSlot(endpoint))
      this.#gone.delete(endpoint.id)
    }
  }

  /** Hard invalidation; returns whether it was known. */
  drop(id: string): boolean {
    const known = this.#remove(id)
    if (known) this.#unusable.add(id)
    return known
  }

  /** Hands out none from now on, whatever the driver reports: the target is to be scaled down. */
  beginScaleDown(): void {
    this.#scalingDown = true
    for (const id of [...this.#slots.keys()]) this.#remove(id)
  }

  /** The target has been scaled down: these are never handed out, though late news may still call them ready. */
  scaledDown(stopped: readonly string[]): void {
    this.#scalingDown = false
    for (const { id } of this.#reported) this.#unusable.add(id)
    this.#stopped = [...this.#stopped, ...stopped].slice(-MAX_STOPPED)
  }

  /**
   * The target has not been scaled down: what the driver reports is what is there. `faulty`: those that were dropped too; told to
   * stop them it could not, so that they may be tried once more.
   */
  scaleDownFailed(faulty: boolean): void {
    this.#scalingDown = false
    if (faulty) this.#unusable.clear()
    this.replace(this.#reported)
  }

  suspect(id: string): void {
    const slot = this.#slots.get(id)
    if (slot) slot.suspect = true
  }

  /** Exactly these drain: they get no new leases. Returns whether that changes anything. */
  setDraining(ids: ReadonlySet<string>): boolean {
    let changed = false
    for (const [id, slot] of this.#slots) {
      if (slot.draining === ids.has(id)) continue
      slot.draining = !slot.draining
      changed = true
    }
    return changed
  }

  /** Those that are needed least: those that drain already, then the least loaded. */
  leastNeeded(count: number): string[] {
    const order = [...this.#slots.values()].sort(
      (a, b) => Number(b.draining) - Number(a.draining) || a.inFlight - b.inFlight,
    )
    return order.slice(0, count).map(({ endpoint }) => endpoint.id)
  }

  /** Those that drain and have no lease out. */
  get drained(): string[] {
    return [...this.#slots.values()]
      .filter((slot) => slot.draining && slot.inFlight === 0)
      .map(({ endpoint }) => endpoint.id)
  }

  /**
   * Sets how many leases each may have out, and returns how many may be out in all: the places of those that do not
   * drain, and what is out elsewhere and ends in its own time.
   */
  allot(places: (id: string) => number): number {
    let capacity = 0
    for (const slot of this.#gone.values()) capacity += slot.inFlight
    for (const [id, slot] of this.#slots) {
      slot.places = places(id)
      capacity += slot.draining ? slot.inFlight : Math.max(slot.places, slot.inFlight)
    }
    return capacity
  }

  /** Leases out, by endpoint; of those that are gone too. */
  get load(): Record<string, number> {
    const slots = [...this.#gone, ...this.#slots].filter(([, slot]) => slot.inFlight > 0)
    return Object.fromEntries(slots.map(([id, slot]) => [id, slot.inFlight]))
  }

  /**
   * A place at the least loaded endpoint, to be given back with `leave`. The caller's capacity is the sum of the
   * places, so that one with room is always there. Throws when there is no endpoint at all.
   */
  pick(): Slot {
    let best: Slot | undefined
    for (const slot of this.#slots.values()) if (!best || rank(slot) < rank(best)) best = slot
    if (!best) throw new Error('A place was granted while no endpoint is ready.')
    best.inFlight++
    return best
  }

  /** Gives a place back; true when nobody else can have it, so that fewer leases may be out. */
  leave(slot: Slot): boolean {
    slot.inFlight--
    const { id } = slot.endpoint
    if (this.#gone.get(id) === slot) {
      if (slot.inFlight === 0) this.#gone.delete(id)
      return true
    }
    return slot.draining || slot.inFlight >= slot.places
  }

  #remove(id: string): boolean {
    const slot = this.#slots.get(id)
    if (slot && slot.inFlight > 0) this.#gone.set(id, slot)
    return this.#slots.delete(id)
  }
}

const SUSPECT_PENALTY = 1e6
const FULL_PENALTY = 1e9
const DRAINING_PENALTY = 1e12

function rank(slot: Slot): number {
  let rank = slot.inFlight
  if (slot.suspect) rank += SUSPECT_PENALTY
  if (slot.inFlight >= slot.places) rank += FULL_PENALTY
  if (slot.draining) rank += DRAINING_PENALTY
  return rank
}

function newSlot(endpoint: Endpoint): Slot {
  return { endpoint, inFlight: 0, places: Infinity, suspect: false, draining: false }
}
