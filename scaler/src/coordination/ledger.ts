import type { Demand, LoadReport } from '../target-lock.ts'

/** Names one activator for as long as it runs. */
export type MemberId = string

/** How many requests one may have at each endpoint. */
export type Places = Readonly<Record<string, number>>

/** The number of heartbeats that a member had sent when it took what it has. */
export type Beat = number

/** One activator's part in a target. */
export interface Share {
  /** A member that returns from a pause may have been counted as dead by others. This number tells which shares are void. */
  readonly beat: Beat
  /** Requests in flight and waiting. */
  readonly load: number
  /** Requests that wait for a place. */
  readonly waiting: number
  /** Whose turn it is to take places, of those who wait: the least. */
  readonly turn: number
  /** Places it may fill, by endpoint; only where concurrency is limited. */
  readonly places: Places
  /** Draining endpoints that it uses no more. */
  readonly drained: readonly string[]
}

/** What all activators know of one target. */
export interface Ledger {
  readonly [name: string]: unknown
  readonly shares: Readonly<Record<MemberId, Share>>
  /** Who holds the target exclusively, to put it to sleep: nobody else may have a share. */
  readonly exclusive: { readonly id: MemberId; readonly beat: Beat } | null
  /** Who decides on replicas, and alone asks the driver for any: the first who came, until it leaves. */
  readonly leader: MemberId | null
  readonly retired: boolean
  /** Endpoints that have been stopped. */
  readonly terminated: readonly string[]
  /** Endpoints that get no new requests: the leader wants to stop them. */
  readonly draining: readonly string[]
  /** Counts the changes of `draining`: who calls an endpoint drained names the count of which it speaks. */
  readonly drainings: number
  readonly replicas: number
  /** Names the document from its creation to its deletion; within it, the greater revision is the newer. */
  readonly born: string
  readonly revision: number
}

/** Ids are never used again: what a laggard could still believe ready are the last few. */
const MAX_TERMINATED = 100

export const EMPTY: Ledger = {
  shares: {},
  exclusive: null,
  leader: null,
  retired: false,
  terminated: [],
  draining: [],
  drainings: 0,
  replicas: 1,
  born: '',
  revision: 0,
}
const NEW_SHARE: Omit<Share, 'beat'> = { load: 0, waiting: 0, turn: 0, places: {}, drained: [] }

/** Whether a member that had sent so many heartbeats counts as alive. */
export type Alive = (id: MemberId, beat: Beat) => boolean

/** Leaves out whoever is not alive any more. The steps below are pure, and all begin with it. */
export function withoutDead(ledger: Ledger | undefined, alive: Alive): Ledger {
  if (!ledger) return EMPTY
  const { exclusive } = ledger
  const holds = exclusive !== null && alive(exclusive.id, exclusive.beat)
  const all = Object.entries(ledger.shares)
  const living = all.filter(([id, { beat }]) => alive(id, beat))
  if (living.length === all.length && holds === (exclusive !== null)) return ledger
  return withLeader({ ...ledger, shares: Object.fromEntries(living), exclusive: holds ? exclusive : null })
}

/** When the leader is gone another one leads. */
function withLeader(ledger: Ledger): Ledger {
  if (ledger.leader !== null && ledger.shares[ledger.leader]) return ledger
  return { ...ledger, leader: Object.keys(ledger.shares).sort()[0] ?? null }
}

/** Unchanged while somebody else has it for itself, or for good. */
export function withShare(ledger: Ledger, me: MemberId, beat: Beat): Ledger {
  if (ledger.retired || (ledger.exclusive !== null && ledger.exclusive.id !== me)) return ledger
  if (ledger.shares[me]?.beat === beat && ledger.exclusive === null) return ledger
  const share = { ...(ledger.shares[me] ?? NEW_SHARE), beat }
  return withLeader({ ...ledger, exclusive: null, shares: { ...ledger.shares, [me]: share } })
}

/** Unchanged unless nobody else has a share or the whole. */
export function withExclusive(ledger: Ledger, me: MemberId, beat: Beat): Ledger {
  if (!isFree(ledger, me) || ledger.exclusive?.beat === beat) return ledger
  return { ...ledger, shares: {}, leader: null, exclusive: { id: me, beat } }
}

/** Whether nobody but `me` has anything of it. */
export function isFree(ledger: Ledger, me: MemberId): boolean {
  return (
    Object.keys(ledger.shares).every((id) => id === me) &&
    (ledger.exclusive === null || ledger.exclusive.id === me)
  )
}

/** After its scale-down: these endpoints are not to be used again. */
export function scaledDown(ledger: Ledger, endpoints: readonly string[]): Ledger {
  return { ...withDraining(ledger, []), terminated: withMore(ledger.terminated, endpoints), replicas: 1 }
}

/** Whether `me` has a share or the whole. */
export function hasMember(ledger: Ledger, me: MemberId): boolean {
  return ledger.shares[me] !== undefined || ledger.exclusive?.id === me
}

export function withoutMember(ledger: Ledger, me: MemberId): Ledger {
  if (!hasMember(ledger, me)) return ledger
  const holds = ledger.exclusive?.id === me
  const { [me]: _mine, ...shares } = ledger.shares
  return withLeader({ ...ledger, shares, exclusive: holds ? null : ledger.exclusive })
}

/** The ledger as it is to be written: the next revision, and of a new document the first. */
export function written(ledger: Ledger): Ledger {
  return { ...ledger, born: ledger.born || crypto.randomUUID(), revision: ledger.revision + 1 }
}

export function asRetired(ledger: Ledger): Ledger {
  return ledger.retired ? ledger : { ...ledger, retired: true }
}

/** `drainings` is the count at which the reporter looked at what rests. What is to be done counts from the leader alone. */
export function withReport(ledger: Ledger, me: MemberId, report: LoadReport & { drainings: number }): Ledger {
  const { load, lead } = report
  if (!ledger.shares[me]) return ledger
  const next =
    lead && ledger.leader === me
      ? { ...withDraining(ledger, lead.draining), replicas: lead.replicas }
      : ledger
  const drained = report.drainings === next.drainings ? report.drained : []
  return { ...next, shares: { ...next.shares, [me]: { ...next.shares[me]!, load, drained } } }
}

/** Condemns those of these draining endpoints that nobody else uses. Unchanged unless `me` leads. */
export function withTerminated(ledger: Ledger, me: MemberId, endpoints: readonly string[]): Ledger {
  const others = Object.entries(ledger.shares).filter(([id]) => id !== me)
  const drained = endpoints.filter(
    (endpoint) =>
      ledger.draining.includes(endpoint) && others.every(([, share]) => share.drained.includes(endpoint)),
  )
  if (ledger.leader !== me || drained.length === 0) return ledger
  return { ...ledger, terminated: withMore(ledger.terminated, drained) }
}

function withDraining(ledger: Ledger, draining: readonly string[]): Ledger {
  const same =
    draining.length === ledger.draining.length && draining.every((id) => ledger.draining.includes(id))
  if (same) return ledger
  const active = Object.entries(ledger.shares).map(([id, share]) => [id, { ...share, drained: [] }] as const)
  return { ...ledger, draining, drainings: ledger.drainings + 1, shares: Object.fromEntries(active) }
}

function withMore(terminated: readonly string[], endpoints: readonly string[]): readonly string[] {
  return [...new Set([...terminated, ...endpoints])].slice(-MAX_TERMINATED)
}

/**
 * Takes free places for those who wait, or fewer than before: `kept` is what `me` still fills or may fill. The places of
 * an endpoint never add up to more than its concurrency, whoever asks in whatever order. Where several wait they take in
 * turns, each up to its fair part.
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

export function othersWait(ledger: Ledger, me: MemberId): boolean {
  return Object.entries(ledger.shares).some(([id, share]) => id !== me && share.waiting > 0)
}

/** Of all places, the part of each who has or wants any; seldom a whole number. */
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
