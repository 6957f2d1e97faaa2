import type { Endpoint } from './types.ts'

/**
 * Whether an endpoint gets leases after a request has failed at it: `usable`, as if nothing had happened; `avoided`, only if no
 * other one has a free place; `held`, none for now.
 */
export type EndpointHealth = 'usable' | 'avoided' | 'held'

/** One endpoint and the number of leases held on it. */
export interface Slot {
  readonly endpoint: Endpoint
  inFlight: number
  /** The maximum number of leases; Infinity = unlimited. */
  places: number
  health: EndpointHealth
  /** The endpoint gets no new leases, and is stopped once all its leases are released. */
  draining: boolean
}

/** How many ids of stopped endpoints are remembered. Reports are never so late that older ids matter. */
const MAX_STOPPED = 100

/** The ready endpoints of one target and the number of leases held on each. */
export class EndpointSet {
  readonly #slots = new Map<string, Slot>()
  /** Endpoints that are no longer ready but still have leases. If one becomes ready again, its leases still count. */
  readonly #gone = new Map<string, Slot>()
  /** Endpoints that must not get leases, although the driver still reports them as ready. */
  readonly #unusable = new Set<string>()
  /** Those of them that do not exist any more. The driver must be told to replace them. */
  readonly #dead = new Set<string>()
  /** The endpoints that were stopped most recently. Late reports may still list them. */
  #stopped: readonly string[] = []
  /** Set while the target is being scaled to zero. */
  #scalingDown = false
  #reported: readonly Endpoint[] = []

  get size(): number {
    return this.#slots.size
  }

  /** Whether the driver still reports endpoints that must not get leases. */
  get reportsUnusable(): boolean {
    return this.#unusable.size > 0
  }

  get ids(): string[] {
    return [...this.#slots.keys()]
  }

  /** The ids of the endpoints that get new leases. */
  get active(): string[] {
    return [...this.#slots.values()].filter((slot) => !isClosed(slot)).map(({ endpoint }) => endpoint.id)
  }

  /** The ids of all endpoints in the driver's last report, including ones that must not get leases. */
  get reported(): string[] {
    return this.#reported.map(({ id }) => id)
  }

  /** Applies the driver's complete ready set. */
  replace(ready: readonly Endpoint[]): void {
    this.#reported = ready
    if (this.#scalingDown) return
    const ids = new Set(ready.map((endpoint) => endpoint.id))
    for (const id of this.#unusable) if (!ids.has(id)) this.#unusable.delete(id)
    for (const id of this.#dead) if (!ids.has(id)) this.#dead.delete(id)
    for (const id of this.#slots.keys()) if (!ids.has(id)) this.#remove(id)
    for (const endpoint of ready) {
      if (this.#stopped.includes(endpoint.id)) this.#unusable.add(endpoint.id)
      if (this.#unusable.has(endpoint.id) || this.#slots.has(endpoint.id)) continue
      this.#slots.set(endpoint.id, this.#gone.get(endpoint.id) ?? newSlot(endpoint))
      this.#gone.delete(endpoint.id)
    }
  }

  /** Excludes an endpoint from all further leases. Returns whether it was one of the ready endpoints. */
  drop(id: string): boolean {
    const known = this.#remove(id)
    if (known) this.#unusable.add(id)
    return known
  }

  /** Excludes an endpoint that does not exist any more, although the driver reports it. */
  dropDead(id: string): void {
    if (this.drop(id)) this.#dead.add(id)
  }

  /** A dead endpoint answers again. Returns whether it may get leases: not if it has been stopped. */
  revive(id: string): boolean {
    this.#dead.delete(id)
    if (this.#stopped.includes(id)) return false
    this.#unusable.delete(id)
    this.replace(this.#reported)
    return this.#slots.has(id)
  }

  /** The dead endpoints that have leases, and those that have none. */
  get dead(): { readonly used: string[]; readonly unused: string[] } {
    const ids = [...this.#dead]
    return { used: ids.filter((id) => this.#gone.has(id)), unused: ids.filter((id) => !this.#gone.has(id)) }
  }

  /** Called before the target is scaled to zero: no endpoint gets a lease from now on, whatever the driver reports. */
  beginScaleDown(): void {
    this.#scalingDown = true
    for (const id of [...this.#slots.keys()]) this.#remove(id)
  }

  /** Called after a scale-down to zero. The `stopped` endpoints never get leases again, even if late reports list them. */
  scaledDown(stopped: readonly string[]): void {
    this.#scalingDown = false
    this.#dead.clear()
    for (const { id } of this.#reported) this.#unusable.add(id)
    this.#stopped = [...this.#stopped, ...stopped].slice(-MAX_STOPPED)
  }

  /**
   * Called when the target was not scaled to zero: the endpoints that the driver reports are usable again. With `faulty` the
   * driver could not stop them, and even endpoints that had been dropped are tried once more.
   */
  scaleDownFailed(faulty: boolean): void {
    this.#scalingDown = false
    if (faulty) {
      this.#unusable.clear()
      this.#dead.clear()
    }
    this.replace(this.#reported)
  }

  get(id: string): Endpoint | undefined {
    return this.#slots.get(id)?.endpoint
  }

  /** The number of endpoints that are held, without this one. */
  heldBesides(id: string): number {
    let held = 0
    for (const slot of this.#slots.values()) if (slot.health === 'held' && slot.endpoint.id !== id) held++
    return held
  }

  /** Returns whether anything has changed. */
  setHealth(id: string, health: EndpointHealth): boolean {
    const slot = this.#slots.get(id)
    if (!slot || slot.health === health) return false
    slot.health = health
    return true
  }

  /** Makes exactly these endpoints drain: they get no new leases. Returns whether anything has changed. */
  setDraining(ids: ReadonlySet<string>): boolean {
    let changed = false
    for (const [id, slot] of this.#slots) {
      if (slot.draining === ids.has(id)) continue
      slot.draining = !slot.draining
      changed = true
    }
    return changed
  }

  /** The `count` endpoints that are needed least: draining ones first, then held ones, then those with the fewest leases. */
  leastNeeded(count: number): string[] {
    const order = [...this.#slots.values()].sort((a, b) => need(a) - need(b) || a.inFlight - b.inFlight)
    return order.slice(0, count).map(({ endpoint }) => endpoint.id)
  }

  /** The ids of the draining endpoints that have no lease. */
  get drained(): string[] {
    return [...this.#slots.values()]
      .filter((slot) => slot.draining && slot.inFlight === 0)
      .map(({ endpoint }) => endpoint.id)
  }

  /**
   * Sets the maximum number of leases of each endpoint, and returns the total capacity: the places of the endpoints that are
   * neither draining nor held, plus the leases that are still held on all other endpoints.
   */
  allot(places: (id: string) => number): number {
    let capacity = 0
    for (const slot of this.#gone.values()) capacity += slot.inFlight
    for (const [id, slot] of this.#slots) {
      slot.places = places(id)
      capacity += isClosed(slot) ? slot.inFlight : Math.max(slot.places, slot.inFlight)
    }
    return capacity
  }

  /** The number of held leases by endpoint id, including endpoints that are no longer ready. */
  get load(): Record<string, number> {
    const slots = [...this.#gone, ...this.#slots].filter(([, slot]) => slot.inFlight > 0)
    return Object.fromEntries(slots.map(([id, slot]) => [id, slot.inFlight]))
  }

  /**
   * Takes a place at the least loaded endpoint; the caller returns it with `leave`. The caller respects the capacity that
   * `allot` returned, so an endpoint with a free place always exists. Throws if there is no endpoint.
   */
  pick(): Slot {
    let best: Slot | undefined
    for (const slot of this.#slots.values()) if (!best || rank(slot) < rank(best)) best = slot
    if (!best) throw new Error('A place was granted although no endpoint is ready.')
    best.inFlight++
    return best
  }

  /** Returns a place. The result is true if the place cannot be reused, so that the total capacity has become smaller. */
  leave(slot: Slot): boolean {
    slot.inFlight--
    const { id } = slot.endpoint
    if (this.#gone.get(id) === slot) {
      if (slot.inFlight === 0) this.#gone.delete(id)
      return true
    }
    return isClosed(slot) || slot.inFlight >= slot.places
  }

  #remove(id: string): boolean {
    const slot = this.#slots.get(id)
    if (slot && slot.inFlight > 0) this.#gone.set(id, slot)
    return this.#slots.delete(id)
  }
}

const AVOIDED_PENALTY = 1e6
const FULL_PENALTY = 1e9
const CLOSED_PENALTY = 1e12

/** Whether the endpoint gets no new leases. */
function isClosed(slot: Slot): boolean {
  return slot.draining || slot.health === 'held'
}

function need(slot: Slot): number {
  return slot.draining ? 0 : slot.health === 'held' ? 1 : 2
}

function rank(slot: Slot): number {
  let rank = slot.inFlight
  if (slot.health === 'avoided') rank += AVOIDED_PENALTY
  if (slot.inFlight >= slot.places) rank += FULL_PENALTY
  if (isClosed(slot)) rank += CLOSED_PENALTY
  return rank
}

function newSlot(endpoint: Endpoint): Slot {
  return { endpoint, inFlight: 0, places: Infinity, health: 'usable', draining: false }
}
