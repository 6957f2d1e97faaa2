import type { Demand, LoadReport } from '../target-lock.ts'
import type { MemberId } from './members.ts'

/** A number of requests for each endpoint id. */
export type Places = Readonly<Record<string, number>>

/** The shared lock of one activator on a target. */
export interface Share {
  /** The number of requests in flight and waiting. */
  readonly load: number
  /** The number of requests that wait for a place. */
  readonly waiting: number
  /** The order in which members with waiting requests take places: the lowest number is first. 0 if no request waits. */
  readonly turn: number
  /** The places of this member at each endpoint. Used only if concurrency is limited. */
  readonly places: Places
  /** The draining endpoints that this member no longer uses. */
  readonly drained: readonly string[]
}

/** The shared document of one target. */
export interface Ledger {
  readonly [name: string]: unknown
  readonly shares: Readonly<Record<MemberId, Share>>
  /** The member that holds the exclusive lock, to put the target to sleep. Nobody has a share then. */
  readonly exclusive: { readonly id: MemberId } | null
  /** The only member that decides the number of replicas and requests them from the driver. It leads until its share ends. */
  readonly leader: MemberId | null
  readonly retired: boolean
  /** Endpoints that have been stopped or are about to be. They must never be used again. */
  readonly terminated: readonly string[]
  /** Endpoints that a member has found dead although the driver reports them. The others probe them too. */
  readonly dead: readonly string[]
  /** Endpoints that get no new requests: the leader wants to stop them. */
  readonly draining: readonly string[]
  /** Counts the changes of `draining`. A report of drained endpoints includes the count that it refers to. */
  readonly drainings: number
  readonly replicas: number
  /** The id of the document from its creation to its deletion. */
  readonly born: string
  /** Incremented at each write of the document. */
  readonly revision: number
}

/** How many ids a list has. Endpoint ids are not reused, and late reports can only concern the most recent ones. */
const MAX_IDS = 100

export const EMPTY: Ledger = {
  shares: {},
  exclusive: null,
  leader: null,
  retired: false,
  terminated: [],
  dead: [],
  draining: [],
  drainings: 0,
  replicas: 1,
  born: '',
  revision: 0,
}
const NEW_SHARE: Share = { load: 0, waiting: 0, turn: 0, places: {}, drained: [] }

export type Alive = (id: MemberId) => boolean

/** The ledger without the locks of dead members. Every update starts with this function. All functions below are pure. */
export function withoutDead(ledger: Ledger | undefined, alive: Alive): Ledger {
  if (!ledger) return EMPTY
  const { exclusive } = ledger
  const holds = exclusive !== null && alive(exclusive.id)
  const all = Object.entries(ledger.shares)
  const living = all.filter(([id]) => alive(id))
  if (living.length === all.length && holds === (exclusive !== null)) return ledger
  return withLeader({ ...ledger, shares: Object.fromEntries(living), exclusive: holds ? exclusive : null })
}

/** The ledger with a new leader if the old one has no share any more. */
function withLeader(ledger: Ledger): Ledger {
  if (ledger.leader !== null && ledger.shares[ledger.leader]) return ledger
  return { ...ledger, leader: Object.keys(ledger.shares).sort()[0] ?? null }
}

/** Gives `me` a share. Unchanged while another member holds the exclusive lock, or if the target is retired. */
export function withShare(ledger: Ledger, me: MemberId): Ledger {
  if (ledger.retired || (ledger.exclusive !== null && ledger.exclusive.id !== me) || ledger.shares[me])
    return ledger
  return withLeader({ ...ledger, exclusive: null, shares: { ...ledger.shares, [me]: NEW_SHARE } })
}

/** Gives `me` the exclusive lock. Unchanged if another member has a share or the exclusive lock. */
export function withExclusive(ledger: Ledger, me: MemberId): Ledger {
  if (!isFree(ledger, me) || ledger.exclusive) return ledger
  return { ...ledger, shares: {}, leader: null, exclusive: { id: me } }
}

/** Whether no member other than `me` has a share or the exclusive lock. */
export function isFree(ledger: Ledger, me: MemberId): boolean {
  return (
    Object.keys(ledger.shares).every((id) => id === me) &&
    (ledger.exclusive === null || ledger.exclusive.id === me)
  )
}

/** The number of requests, in flight and waiting, of the other members. */
export function loadOfOthers(ledger: Ledger, me: MemberId): number {
  return Object.entries(ledger.shares).reduce((total, [id, { load }]) => total + (id === me ? 0 : load), 0)
}

/** The ledger after the target was scaled to zero: these endpoints must never be used again. */
export function scaledDown(ledger: Ledger, endpoints: readonly string[]): Ledger {
  return { ...withoutEndpoints(withDraining(ledger, []), endpoints), replicas: 1 }
}

/** Whether `me` has a share or the exclusive lock. */
export function hasMember(ledger: Ledger, me: MemberId): boolean {
  return ledger.shares[me] !== undefined || ledger.exclusive?.id === me
}

export function withoutMember(ledger: Ledger, me: MemberId): Ledger {
  if (!hasMember(ledger, me)) return ledger
  const { [me]: _mine, ...shares } = ledger.shares
  // Nobody else holds the exclusive lock while `me` has a share.
  return withLeader({ ...ledger, shares, exclusive: null })
}

/** The ledger to write: with the next revision, and with an id if the document is new. */
export function written(ledger: Ledger): Ledger {
  return { ...ledger, born: ledger.born || crypto.randomUUID(), revision: ledger.revision + 1 }
}

export function asRetired(ledger: Ledger): Ledger {
  return ledger.retired ? ledger : { ...ledger, retired: true }
}

/**
 * Records a report of `me`. `drainings` is the count of changes of `draining` that its `drained` refers to. The decision in
 * `lead` is only taken over if `me` is the leader.
 */
export function withReport(ledger: Ledger, me: MemberId, report: LoadReport & { drainings: number }): Ledger {
  const { load, lead } = report
  if (!ledger.shares[me]) return ledger
  const next =
    lead && ledger.leader === me
      ? { ...withDraining(ledger, lead.draining), replicas: lead.replicas }
      : ledger
  const drained = report.drainings === next.drainings ? report.drained : []
  const mine = next.shares[me]!
  // An idle target would be written again and again.
  if (
    next.replicas === ledger.replicas &&
    next.draining === ledger.draining &&
    mine.load === load &&
    sameIds(drained, mine.drained)
  )
    return ledger
  return { ...next, shares: { ...next.shares, [me]: { ...mine, load, drained } } }
}

/**
 * Marks the draining endpoints among these that no member uses as terminated; `load` is that of `me`. Unchanged unless `me` is
 * the leader.
 */
export function withTerminated(
  ledger: Ledger,
  me: MemberId,
  endpoints: readonly string[],
  load: Places,
): Ledger {
  const others = Object.entries(ledger.shares).filter(([id]) => id !== me)
  const drained = endpoints.filter(
    (endpoint) =>
      !load[endpoint] &&
      ledger.draining.includes(endpoint) &&
      others.every(([, share]) => share.drained.includes(endpoint)),
  )
  if (ledger.leader !== me || drained.length === 0) return ledger
  return withoutEndpoints(ledger, drained)
}

function withDraining(ledger: Ledger, draining: readonly string[]): Ledger {
  if (sameIds(draining, ledger.draining)) return ledger
  const active = Object.entries(ledger.shares).map(([id, share]) => [id, { ...share, drained: [] }] as const)
  return { ...ledger, draining, drainings: ledger.drainings + 1, shares: Object.fromEntries(active) }
}

export function withDead(ledger: Ledger, endpoint: string, isDead: boolean): Ledger {
  if (ledger.dead.includes(endpoint) === isDead) return ledger
  const others = ledger.dead.filter((id) => id !== endpoint)
  return { ...ledger, dead: isDead ? withMore(others, [endpoint]) : others }
}

/** Records that these endpoints are stopped. */
function withoutEndpoints(ledger: Ledger, endpoints: readonly string[]): Ledger {
  return {
    ...ledger,
    terminated: withMore(ledger.terminated, endpoints),
    dead: ledger.dead.filter((id) => !endpoints.includes(id)),
  }
}

function sameIds(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((id) => other.includes(id))
}

function withMore(ids: readonly string[], more: readonly string[]): readonly string[] {
  return [...new Set([...ids, ...more])].slice(-MAX_IDS)
}

/**
 * Sets the places of `me`: `kept`, the places that it keeps, plus free places for its waiting requests. The places of an
 * endpoint never add up to more than its concurrency, in whatever order the members update the ledger. If requests of several
 * members wait, the members take places in turn, each up to its fair part.
 */
export function withPlaces(ledger: Ledger, me: MemberId, kept: Places, demand: Demand): Ledger {
  const mine = ledger.shares[me]
  if (!mine) return ledger
  const others = Object.entries(ledger.shares).filter(([id]) => id !== me)
  const lastTurn = Math.max(...Object.values(ledger.shares).map(({ turn }) => turn))
  let turn = demand.waiting === 0 ? 0 : mine.waiting > 0 ? mine.turn : lastTurn + 1
  const places: Record<string, number> = { ...kept }
  let missing = sum(demand.load) + demand.waiting - sum(places)
  if (othersWait(ledger, me)) {
    const part = Math.ceil(fairPart(ledger, demand))
    const before = others.filter(([, share]) => share.waiting > 0 && share.turn < turn)
    const myTurn = before.every(([, share]) => sum(share.places) >= part)
    missing = Math.min(missing, myTurn ? part - sum(places) : 0)
  }
  for (const id of demand.endpoints) {
    const taken = others.reduce((total, [, share]) => total + (share.places[id] ?? 0), places[id] ?? 0)
    const more = Math.min(missing, demand.concurrency - taken)
    if (more <= 0) continue
    places[id] = (places[id] ?? 0) + more
    missing -= more
    if (turn > 0) turn = lastTurn + 1
  }
  if (mine.waiting === demand.waiting && mine.turn === turn && equal(places, mine.places)) return ledger
  const share = { ...mine, waiting: demand.waiting, turn, places }
  return { ...ledger, shares: { ...ledger.shares, [me]: share } }
}

/** Gives `me` a share and the places that its requests wait for. */
export function joined(ledger: Ledger, me: MemberId, demand: Demand): Ledger {
  const shared = withShare(ledger, me)
  if (demand.concurrency === Infinity) return shared
  return withPlaces(shared, me, ledger.shares[me]?.places ?? {}, demand)
}

export function othersWait(ledger: Ledger, me: MemberId): boolean {
  return Object.entries(ledger.shares).some(([id, share]) => id !== me && share.waiting > 0)
}

/** The fair number of places for each member that has places or waits for some; usually not an integer. */
export function fairPart(ledger: Ledger, demand: Pick<Demand, 'endpoints' | 'concurrency'>): number {
  const takers = Object.values(ledger.shares).filter((share) => share.waiting > 0 || sum(share.places) > 0)
  return (demand.endpoints.length * demand.concurrency) / Math.max(1, takers.length)
}

export function sum(counts: Places): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

function equal(a: Places, b: Places): boolean {
  const ids = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...ids].every((id) => (a[id] ?? 0) === (b[id] ?? 0))
}
