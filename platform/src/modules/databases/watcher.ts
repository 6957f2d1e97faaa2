import { repeat, type Repetition } from '../../repeat.ts'
import type { Log } from '../../logger.ts'
import { harmOf, type HarmBounds } from './harm.ts'
import type { Load } from './operations.ts'
import type { DatabaseRecord } from './store.ts'

/** Time between two looks, in ms: while there are operations, and while there are none. */
const BUSY_TICK = 500
const TICK = 2_000
/** The same message is sent to a user again only after this time, in ms. */
const TELL_INTERVAL = 10_000
/** A tenth of the collections and indexes that a user may have. */
const MANY_FILES = 100
const UNAUTHORIZED = 13

export interface WatcherDeps {
  readonly databases: {
    list(): Promise<DatabaseRecord[]>
    load(names: readonly string[]): Promise<Load>
  }
  /** Bytes in MongoDB's temporary files. Absent where they cannot be read. */
  readonly spilled?: () => Promise<number>
  readonly bounds: HarmBounds
  /** Called when many collections or indexes, of any users, were created since the last look. */
  readonly onManyFiles?: () => void
  /** Called when operations of a user were ended. */
  readonly onEnded: (userId: string, why: string) => void
  readonly log: Log
  readonly now?: () => number
}

export interface Watcher {
  /** Looks once. Resolves to whether the next look should come soon. Never rejects. */
  tick(): Promise<boolean>
  start(): void
  close(): Promise<void>
}

/** Ends operations in MongoDB that keep other users from working: MongoDB itself has no limits for each user. */
export function createWatcher(deps: WatcherDeps): Watcher {
  const { databases, log } = deps
  const now = deps.now ?? (() => performance.now())
  let isClosing = false
  const told = new Map<string, number>()
  let looking: Repetition | undefined
  let isForbidden = false
  let files = Infinity

  async function tick(): Promise<boolean> {
    if (isForbidden) return false
    try {
      const records = new Map((await databases.list()).map((record) => [record.name, record]))
      const [load, spilled] = await Promise.all([databases.load([...records.keys()]), deps.spilled?.() ?? 0])
      if (load.files - files > MANY_FILES) deps.onManyFiles?.()
      files = load.files
      for (const { database, operations, why } of harmOf(load, spilled, deps.bounds)) {
        await Promise.all(operations.map((operation) => operation.end()))
        tell(records.get(database)!.userId, why)
      }
      return load.operations.length > 0 || spilled > 0
    } catch (error) {
      if (!isClosing) failed(error)
      return false
    }
  }

  function failed(error: unknown): void {
    isForbidden = (error as { code?: unknown }).code === UNAUTHORIZED
    if (isForbidden)
      log.warn(
        { err: error as Error, role: 'clusterMonitor, killAnyCursor, killAnySession, killop' },
        'operations of users in MongoDB are not limited: the user of MONGODB_URI lacks a role',
      )
    else log.warn({ err: error as Error }, 'could not read the operations in MongoDB; trying again')
  }

  function tell(userId: string, why: string): void {
    // Reasons that differ only in their numbers count as the same.
    const key = `${userId} ${why.replace(/\d+/g, '')}`
    if (now() - (told.get(key) ?? -Infinity) < TELL_INTERVAL) return
    for (const [old, at] of told) if (now() - at >= TELL_INTERVAL) told.delete(old)
    told.set(key, now())
    log.warn({ user_id: userId, why }, 'operations of a user in MongoDB were ended')
    deps.onEnded(userId, why)
  }

  return {
    tick,
    start() {
      looking = repeat(async () => ((await tick()) ? BUSY_TICK : TICK))
    },
    async close() {
      isClosing = true
      await looking?.end()
    },
  }
}
