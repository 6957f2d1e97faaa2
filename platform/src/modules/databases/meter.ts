import { repeat, type Repetition } from '../../repeat.ts'
import type { Log } from '../background.ts'
import type { DatabaseRecord } from './store.ts'
import { whatIsFull, type DatabaseUsage } from './usage.ts'

/** Between two looks, ms. Databases that grow are measured at each. */
const TICK = 2_000
/** The others are measured at least this often, ms: so long may a burst go unseen. */
const QUIET_INTERVAL = 20_000
/** Of those that do not grow, at most so many are measured at a look: with more than 400 they are measured less often. */
const QUIET_PER_TICK = 40
/** How long all are measured more often, ms, and how many of those that do not grow. */
const HURRY = 30_000
const HURRIED_PER_TICK = 400
/** One that has grown by this part of its limit since it was measured last is one that grows. */
const GROWTH = 0.01
/** Longer than a look with many databases may take. ms */
const LEASE = 15_000
/** Between two attempts to give space on disk back, ms: MongoDB keeps what was deleted for some minutes. */
const COMPACT_INTERVAL = 5 * 60_000
/** MongoDB's number for a command that its user may not use. */
const UNAUTHORIZED = 13

/** What the meter needs of the store. */
export interface MeteredDatabases {
  /** Whether this process is to measure now: of all on one database, one. */
  lead(holder: string, forMs: number): Promise<boolean>
  list(): Promise<DatabaseRecord[]>
  measure(name: string): Promise<DatabaseUsage>
  saveUsage(userId: string, usage: DatabaseUsage): Promise<void>
  /** Takes the right to write from the database's user, or gives it back; then remembers it. */
  setFull(record: DatabaseRecord, full: boolean): Promise<void>
  /** Gives space on disk back that is no longer used. */
  compact(name: string): Promise<void>
}

export interface MeterDeps {
  readonly databases: MeteredDatabases
  readonly holder: string
  readonly limitBytes: number
  /** A database became full, or has room again. */
  readonly onChange: (userId: string, full: boolean, usage: DatabaseUsage) => void
  readonly log: Log
  readonly now?: () => number
}

export interface Meter {
  /** One look. Never rejects. */
  tick(): Promise<void>
  /** For half a minute all are measured at each look: somebody makes collections or indexes fast. */
  hurry(): void
  /** Looks again and again until it is closed. */
  start(): void
  close(): Promise<void>
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
  let isClosing = false
  const seen = new Map<string, Seen>()
  let looking: Repetition | undefined
  let isForbidden = false
  let hurriesUntil = -Infinity

  async function tick(): Promise<void> {
    try {
      if (isForbidden || !(await databases.lead(deps.holder, LEASE))) return
      for (const record of due(await databases.list())) {
        if (isClosing || isForbidden) return
        // What goes wrong with one database keeps no other from being measured.
        await look(record).catch((error: unknown) => failed(error, { user_id: record.userId }))
      }
    } catch (error) {
      failed(error)
    }
  }

  function failed(error: unknown, about: object = {}): void {
    if (isClosing) return
    log.warn({ err: error as Error, ...about }, 'could not measure the databases; trying again')
  }

  /** Undefined where the platform's user may not measure, which is then not tried again. */
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

  async function look(record: DatabaseRecord): Promise<void> {
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
    tick,
    hurry: () => void (hurriesUntil = now() + HURRY),
    start() {
      looking = repeat(async () => {
        await tick()
        return TICK
      })
    },
    async close() {
      isClosing = true
      await looking?.end()
    },
  }
}
