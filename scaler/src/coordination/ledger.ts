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
  /** Resting endpoints that it uses no more. */
  readonly quiet: readonly string[]
}

/** What all activators know of one target. */
export interface Ledger {
  readonly [name: string]: unknown
  readonly shares: Readonly<Record<MemberId, Share>>
  /** Who is putting the target to sleep: nobody else may have a share. */
  readonly seizedBy: { readonly id: MemberId; readonly beat: Beat } | null
  /** Who decides on replicas, and alone asks the driver for any: the first who came, until it leaves. */
  readonly leader: MemberId | null
  readonly retired: boolean
  /** Endpoints that have been stopped. */
  readonly condemned: readonly string[]
  /** Endpoints that get no new requests: the one who leads wants to stop them. */
  readonly resting: readonly string[]
  /** Counts the changes of `resting`: who calls an endpoint quiet says of which resting it speaks. */
  readonly restings: number
  readonly replicas: number
  /** Names the document from its creation to its deletion; within it, the greater revision is the newer. */
  readonly born: string
  readonly revision: number
}

/** Ids are never used again: what a laggard could still believe ready are the last few. */
const MAX_CONDEMNED = 100

export const EMPTY: Ledger = {
  shares: {},
  seizedBy: null,
  leader: null,
  retired: false,
  condemned: [],
  resting: [],
  restings: 0,
  replicas: 1,
  born: '',
  revision: 0,
}
const NEW_SHARE: Omit<Share, 'beat'> = { load: 0, waiting: 0, turn: 0, places: {}, quiet: [] }

/** Whether a member that had sent so many heartbeats counts as alive. */
export type Alive = (id: MemberId, beat: Beat) => boolean

/** Leaves out whoever is not alive any more. The steps below are pure, and all begin with it. */
export function ofTheLiving(ledger: Ledger | undefined, alive: Alive): Ledger {
  if (!ledger) return EMPTY
  const { seizedBy } = ledger
  const seizes = seizedBy !== null && alive(seizedBy.id, seizedBy.beat)
  const all = Object.entries(ledger.shares)
  const living = all.filter(([id, { beat }]) => alive(id, beat))
  if (living.length === all.length && seizes === (seizedBy !== null)) return ledger
  return led({ ...ledger, shares: Object.fromEntries(living), seizedBy: seizes ? seizedBy : null })
}

/** When the leader is gone another one leads. */
function led(ledger: Ledger): Ledger {
  if (ledger.leader !== null && ledger.shares[ledger.leader]) return ledger
  return { ...ledger, leader: Object.keys(ledger.shares).sort()[0] ?? null }
}

/** Unchanged while somebody else has it for itself, or for good. */
export function joined(ledger: Ledger, me: MemberId, beat: Beat): Ledger {
  if (ledger.retired || (ledger.seizedBy !== null && ledger.seizedBy.id !== me)) return ledger
  if (ledger.shares[me]?.beat === beat && ledger.seizedBy === null) return ledger
  const share = { ...(ledger.shares[me] ?? NEW_SHARE), beat }
  return led({ ...ledger, seizedBy: null, shares: { ...ledger.shares, [me]: share } })
}

/** Unchanged unless nobody else has a share or the whole. */
export function seized(ledger: Ledger, me: MemberId, beat: Beat): Ledger {
  if (!isFree(ledger, me) || ledger.seizedBy?.beat === beat) return ledger
  return { ...ledger, shares: {}, leader: null, seizedBy: { id: me, beat } }
}

/** Whether nobody but `me` has anything of it. */
export function isFree(ledger: Ledger, me: MemberId): boolean {
  return (
    Object.keys(ledger.shares).every((id) => id === me) &&
    (ledger.seizedBy === null || ledger.seizedBy.id === me)
  )
}

/** After its scale-down: these endpoints are not to be used again. */
export function emptied(ledger: Ledger, endpoints: readonly string[]): Ledger {
  return { ...rested(ledger, []), condemned: withMore(ledger.condemned, endpoints), replicas: 1 }
}

/** Whether `me` has a share or the whole. */
export function hasPart(ledger: Ledger, me: MemberId): boolean {
  return ledger.shares[me] !== undefined || ledger.seizedBy?.id === me
}

export function left(ledger: Ledger, me: MemberId): Ledger {
  if (!hasPart(ledger, me)) return ledger
  const seizes = ledger.seizedBy?.id === me
  const { [me]: _mine, ...shares } = ledger.shares
  return led({ ...ledger, shares, seizedBy: seizes ? null : ledger.seizedBy })
}

/** The ledger as it is to be written: the next revision, and of a new document the first. */
export function written(ledger: Ledger): Ledger {
  return { ...ledger, born: ledger.born || crypto.randomUUID(), revision: ledger.revision + 1 }
}

export function retiredByAll(ledger: Ledger): Ledger {
  return ledger.retired ? ledger : { ...ledger, retired: true }
}

/** `restings` is the count at which the reporter looked at what rests. What is to be done counts from the leader alone. */
export function reported(ledger: Ledger, me: MemberId, report: LoadReport & { restings: number }): Ledger {
  const { load, lead } = report
  if (!ledger.shares[me]) return ledger
  const next =
    lead && ledger.leader === me ? { ...rested(ledger, lead.resting), replicas: lead.replicas } : ledger
  const quiet = report.restings === next.restings ? report.quiet : []
  return { ...next, shares: { ...next.shares, [me]: { ...next.shares[me]!, load, quiet } } }
}

/** Condemns those of these resting endpoints that nobody else uses. Unchanged unless `me` leads. */
export function removed(ledger: Ledger, me: MemberId, endpoints: readonly string[]): Ledger {
  const others = Object.entries(ledger.shares).filter(([id]) => id !== me)
  const quiet = endpoints.filter(
    (endpoint) =>
      ledger.resting.includes(endpoint) && others.every(([, share]) => share.quiet.includes(endpoint)),
  )
  if (ledger.leader !== me || quiet.length === 0) return ledger
  return { ...ledger, condemned: withMore(ledger.condemned, quiet) }
}

function rested(ledger: Ledger, resting: readonly string[]): Ledger {
  const same = resting.length === ledger.resting.length && resting.every((id) => ledger.resting.includes(id))
  if (same) return ledger
  const loud = Object.entries(ledger.shares).map(([id, share]) => [id, { ...share, quiet: [] }] as const)
  return { ...ledger, resting, restings: ledger.restings + 1, shares: Object.fromEntries(loud) }
}

function withMore(condemned: readonly string[], endpoints: readonly string[]): readonly string[] {
  return [...new Set([...condemned, ...endpoints])].slice(-MAX_CONDEMNED)
}

/**
 * Takes free places for those who wait, or fewer than before: `kept` is what `me` still fills or may fill. The places of
 * an endpoint never add up to more than its concurrency, whoever asks in whatever order. Where several wait they take in
 * turns, each up to its fair part.
 */
export function balanced(ledger: Ledger, me: MemberId, kept: Places, demand: Demand): Ledger {
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
