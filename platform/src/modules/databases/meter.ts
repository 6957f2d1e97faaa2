import { systemClock } from '@fp/scaler'
import { pause } from '../../pause.ts'
import type { Log } from '../../logger.ts'
import type { DatabaseRecord } from './store.ts'
import { whatIsFull, type DatabaseUsage } from './usage.ts'

/** Time between two looks, in ms. Databases that grow are measured at each look. */
const TICK = 2_000
/** Interval at which the other databases are measured, in ms. A burst of writes may go unseen for so long. */
const QUIET_INTERVAL = 20_000
/** How many databases that do not grow are measured at one look. With more than 400 of them each is measured less often. */
const QUIET_PER_TICK = 40
/** How long a hurry lasts, in ms, and how many databases that do not grow are measured at one look meanwhile. */
const HURRY = 30_000
const HURRIED_PER_TICK = 400
/** A database grows if it has gained this part of its limit since it was measured last. */
const GROWTH = 0.01
/** Time between two attempts to free space on disk, in ms: MongoDB keeps deleted data for some minutes. */
const COMPACT_INTERVAL = 5 * 60_000
/** MongoDB's error code for a command that its user may not use. */
const UNAUTHORIZED = 13

/** What the meter needs of the store. */
export interface MeteredDatabases {
  list(): Promise<DatabaseRecord[]>
  measure(name: string): Promise<DatabaseUsage>
  saveUsage(userId: string, usage: DatabaseUsage): Promise<void>
  /** Takes the right to write from the database's user, or gives it back. Then records which. */
  setFull(record: DatabaseRecord, full: boolean): Promise<void>
  /** Frees space on disk that is no longer used. */
  compact(name: string): Promise<void>
}

export interface MeterDeps {
  readonly databases: MeteredDatabases
  readonly limitBytes: number
  /** Called when a database has become full or has room again. */
  readonly onChange: (userId: string, full: boolean, usage: DatabaseUsage) => void
  readonly log: Log
  readonly now?: () => number
}

export interface Meter {
  /** Looks every two seconds until the signal aborts. Only one process of an installation may do so. */
  run(signal: AbortSignal): Promise<void>
  /** One look: measures the databases that are due. Never rejects. */
  look(signal: AbortSignal): Promise<void>
  /** Measures all databases at each look for half a minute. For when somebody creates collections or indexes fast. */
  hurry(): void
}

interface Seen {
  bytes: number
  at: number
  grows: boolean
  compacted: number
}

/** Measures databases, those that grow more often, and takes the right to write from the users of those that are full. */
export function createMeter(deps: MeterDeps): Meter {
  const { databases, limitBytes, log } = deps
  const now = deps.now ?? (() => performance.now())
  const seen = new Map<string, Seen>()
  let isForbidden = false
  let hurriesUntil = -Infinity

  async function look(signal: AbortSignal): Promise<void> {
    function failed(error: unknown, about: object = {}): void {
      if (signal.aborted) return
      log.warn({ err: error as Error, ...about }, 'could not measure the databases; trying again')
    }
    try {
      if (isForbidden) return
      for (const record of due(await databases.list())) {
        if (signal.aborted || isForbidden) return
        // An error with one database does not keep the others from being measured.
        await check(record).catch((error: unknown) => failed(error, { user_id: record.userId }))
      }
    } catch (error) {
      failed(error)
    }
  }

  /** Undefined where the platform's MongoDB user may not measure. Then no database is measured any more. */
  async function measure(name: string): Promise<DatabaseUsage | undefined> {
    try {
      return await databases.measure(name)
    } catch (error) {
      if ((error as { code?: unknown }).code !== UNAUTHORIZED) throw error
      isForbidden = true
      const text = 'the storage of databases is not limited: the user of MONGODB_URI lacks a role'
      log.warn({ err: error as Error, role: 'clusterMonitor' }, text)
      return undefined
    }
  }

  async function compact(record: DatabaseRecord): Promise<void> {
    try {
      await databases.compact(record.name)
    } catch (error) {
      const text = 'could not give back the space on disk that a database no longer uses'
      log.warn({ err: error as Error, user_id: record.userId }, text)
    }
  }

  function due(records: readonly DatabaseRecord[]): DatabaseRecord[] {
    const at = (record: DatabaseRecord): number => seen.get(record.userId)?.at ?? -Infinity
    const watched = records.filter((record) => record.full || seen.get(record.userId)?.grows)
    const hurries = now() < hurriesUntil
    const quiet = records
      .filter((record) => !watched.includes(record) && (hurries || now() - at(record) >= QUIET_INTERVAL))
      .sort((a, b) => at(a) - at(b))
    return [...watched, ...quiet.slice(0, hurries ? HURRIED_PER_TICK : QUIET_PER_TICK)]
  }

  async function check(record: DatabaseRecord): Promise<void> {
    const usage = await measure(record.name)
    if (!usage) return
    const before = seen.get(record.userId)
    const known = before?.bytes ?? record.usage?.bytes ?? 0
    const current: Seen = {
      bytes: usage.bytes,
      at: now(),
      grows: usage.bytes - known > GROWTH * limitBytes,
      compacted: before?.compacted ?? -Infinity,
    }
    seen.set(record.userId, current)
    const full = whatIsFull(usage, limitBytes, record.full)
    if (full === 'disk' && now() - current.compacted >= COMPACT_INTERVAL) {
      current.compacted = now()
      await compact(record)
    }
    if (usage.bytes !== record.usage?.bytes || usage.files !== record.usage.files)
      await databases.saveUsage(record.userId, usage)
    if ((full !== undefined) === record.full) return
    await databases.setFull(record, full !== undefined)
    log.info({ user_id: record.userId, full, bytes: usage.bytes }, 'the rights on a database changed')
    deps.onChange(record.userId, full !== undefined, usage)
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        await look(signal)
        await pause(systemClock, TICK, signal)
      }
    },
    look,
    hurry: () => void (hurriesUntil = now() + HURRY),
  }
}
