import { totalmem } from 'node:os'
import type { Load, Operation } from './operations.ts'

/** Cursors that one user may have open. A driver has one for each result that is read page by page. */
export const MAX_CURSORS = 100
/** How long an operation may run. */
export const MAX_SECONDS = 60
/** The dirty part of the cache from which on open transactions are ended, as they keep MongoDB from writing it to disk. */
export const MAX_DIRTY = 0.12
/** The least weight (number plus seconds) of a user's operations that can have taken so much memory or disk. */
const MIN_WEIGHT = 5
/** A transaction of this age or less cannot have filled the cache. */
const YOUNG_SECONDS = 1

export interface Harm {
  readonly database: string
  /** The operations to end. */
  readonly operations: readonly Operation[]
  /** The message to the user: what was ended, and why. */
  readonly why: string
}

export interface HarmBounds {
  /** Bytes that operations may have in memory, all together. */
  readonly memory: number
  /** Bytes that operations may have in temporary files, all together. */
  readonly spilled: number
}

export const HARM_BOUNDS: HarmBounds = {
  memory: Math.max(512 * 2 ** 20, 0.15 * totalmem()),
  spilled: 2 ** 30,
}

/**
 * The operations that take so much of MongoDB that other users wait. Where only the sum is known, these are the operations of
 * the one user with the most that can have caused it. The next look shows whether ending them was enough.
 */
export function harmOf(load: Load, spilled: number, bounds: HarmBounds): Harm[] {
  const byUser = Map.groupBy(load.operations, ({ database }) => database)
  const each = [...byUser].flatMap(([database, operations]) => harmOfUser(database, operations))
  if (each.length > 0) return each
  const heaviest = (candidates: readonly Operation[], why: string, least = 0): Harm[] => {
    const users = [...Map.groupBy(candidates, ({ database }) => database)]
    const weight = (operations: readonly Operation[]): number =>
      operations.reduce((sum, { seconds }) => sum + 1 + seconds, 0)
    const [first] = users.sort(([, a], [, b]) => weight(b) - weight(a))
    // Memory and disk are freed a moment after their operations were ended. The light operations that are left did not take them.
    if (!first || weight(first[1]) < least) return []
    return [{ database: first[0], operations: first[1], why }]
  }
  if (load.dirty > MAX_DIRTY) {
    const open = load.operations.filter(
      ({ kind, seconds }) => kind === 'transaction' && seconds > YOUNG_SECONDS,
    )
    const harm = heaviest(
      open,
      'MongoDB ended your open transactions: what they had not committed kept others from writing. Write less in a transaction, and commit it at once.',
    )
    if (harm.length > 0) return harm
  }
  const working = load.operations.filter(({ waits }) => !waits)
  if (spilled > bounds.spilled)
    return heaviest(
      working,
      'MongoDB ended your operations and cursors: their temporary files took the room of others. Sort and group less data, or sort by an index.',
      MIN_WEIGHT,
    )
  if ((load.memory ?? 0) > bounds.memory)
    return heaviest(
      working,
      'MongoDB ended your operations and cursors: they took the memory of others. Sort and group less data, read fewer results at once.',
      MIN_WEIGHT,
    )
  return []
}

function harmOfUser(database: string, operations: readonly Operation[]): Harm[] {
  const harms: Harm[] = []
  const cursors = operations.filter(({ kind }) => kind === 'cursor')
  if (cursors.length > MAX_CURSORS)
    harms.push({
      database,
      operations: cursors,
      why: `MongoDB closed your ${cursors.length} cursors: ${MAX_CURSORS} may be open at once. Read each result to its end, or close its cursor.`,
    })
  const long = operations.filter(
    ({ kind, seconds, waits }) => kind === 'active' && !waits && seconds > MAX_SECONDS,
  )
  if (long.length > 0)
    harms.push({
      database,
      operations: long,
      why: `MongoDB ended an operation of yours that had been running for more than ${MAX_SECONDS} s. Make an index for it, or do it in parts.`,
    })
  return harms
}
