import { createHash } from 'node:crypto'
import { Long, type Binary, type Document, type MongoClient } from 'mongodb'

/** A running operation, an open cursor or an open transaction of a user in MongoDB. */
export interface Operation {
  readonly kind: 'active' | 'cursor' | 'transaction'
  /** The user's database. */
  readonly database: string
  /** How long it has been running or open. */
  readonly seconds: number
  /** Whether it waits for new data or for its turn to build an index. */
  readonly waits: boolean
  /** Ends it. It is no error if it has ended by itself. */
  end(): Promise<void>
}

/** The users' operations in MongoDB, and what MongoDB uses. */
export interface Load {
  readonly operations: readonly Operation[]
  /** The part of the cache that is not yet written to disk. From 0.2 on MongoDB makes all writes wait. */
  readonly dirty: number
  /** Bytes in use outside the cache. Undefined where MongoDB does not report it. */
  readonly memory: number | undefined
  /** Files of collections and indexes that are in use. */
  readonly files: number
}

interface Lsid {
  readonly id: Binary
  readonly uid: Binary
}

/** The fields of a `$currentOp` document that are read. */
interface CurrentOp {
  readonly type: 'op' | 'idleCursor' | 'idleSession'
  readonly active?: boolean
  readonly ns?: string
  readonly opid?: number
  readonly secs_running?: number
  readonly lsid?: Lsid
  readonly effectiveUsers?: readonly { user: string; db: string }[]
  readonly command?: Document
  readonly cursor?: { cursorId: Long | number; createdDate: Date; awaitData: boolean }
  readonly transaction?: { timeOpenMicros: number | Long; parameters: { autocommit?: boolean } }
}

/** Commands that wait: index builds for each other, the rest for as long as their caller asked. */
const WAITING = ['createIndexes', 'hello', 'isMaster', 'ismaster']

/** `databases` are the users' databases. The platform's own operations are left out. */
export async function readLoad(client: MongoClient, databases: readonly string[]): Promise<Load> {
  const admin = client.db('admin')
  const current = { allUsers: true, idleCursors: true, idleSessions: true, localOps: true }
  const [found, status] = await Promise.all([
    admin.aggregate<CurrentOp>([{ $currentOp: current }]).toArray(),
    admin.command({ serverStatus: 1, metrics: 0, repl: 0, locks: 0, mirroredReads: 0, tcmalloc: 1 }),
  ])
  const names = new Set(databases)
  const byUid = lazyUids(databases)
  const now = Date.now()
  const operations = found.flatMap((op) => toOperations(client, op, { names, byUid, now }))
  const engine = status['wiredTiger'] as Record<string, Record<string, number>> | undefined
  const cache = engine?.['cache']
  const inCache = cache?.['bytes currently in the cache'] ?? 0
  const generic = (status['tcmalloc'] as Document | undefined)?.['generic'] as
    Record<string, number> | undefined
  // The name in MongoDB 6.0 and 7.0, then the name in 8.0.
  const allocated = generic?.['current_allocated_bytes'] ?? generic?.['bytes_in_use_by_app']
  return {
    operations,
    files: engine?.['data-handle']?.['connection data handles currently active'] ?? 0,
    dirty: (cache?.['tracked dirty bytes in the cache'] ?? 0) / (cache?.['maximum bytes configured'] ?? 1),
    memory: allocated === undefined ? undefined : allocated - inCache,
  }
}

interface Known {
  readonly names: ReadonlySet<string>
  readonly byUid: (uid: Binary) => string | undefined
  readonly now: number
}

function toOperations(client: MongoClient, op: CurrentOp, { names, byUid, now }: Known): Operation[] {
  const admin = client.db('admin')
  const made: Operation[] = []
  const add = (
    kind: Operation['kind'],
    database: string,
    seconds: number,
    end: () => Promise<unknown>,
  ): void => {
    const waits = op.cursor?.awaitData === true || WAITING.includes(Object.keys(op.command ?? {})[0] ?? '')
    made.push({ kind, database, seconds, waits, end: async () => void (await end().catch(hasEnded)) })
  }
  const [database, ...collection] = (op.ns ?? '').split('.')
  const user = op.effectiveUsers?.[0]
  if (op.type === 'op' && op.active && op.opid !== undefined && user && names.has(user.user))
    add('active', user.user, op.secs_running ?? 0, () => admin.command({ killOp: 1, op: op.opid }))
  if (op.cursor && names.has(database!)) {
    const { cursorId, createdDate } = op.cursor
    const id = typeof cursorId === 'number' ? Long.fromNumber(cursorId) : cursorId
    add('cursor', database!, (now - createdDate.getTime()) / 1000, () =>
      client.db(database).command({ killCursors: collection.join('.'), cursors: [id] }),
    )
  }
  const owner = op.transaction?.parameters.autocommit === false && op.lsid ? byUid(op.lsid.uid) : undefined
  if (owner !== undefined) {
    const { id, uid } = op.lsid!
    add('transaction', owner, Number(op.transaction!.timeOpenMicros) / 1e6, () =>
      admin.command({ killAllSessionsByPattern: [{ lsid: { id, uid } }] }),
    )
  }
  return made
}

/** Sessions name their user by a hash. The map from hash to name is made when it is first needed. */
function lazyUids(databases: readonly string[]): (uid: Binary) => string | undefined {
  let known: Map<string, string> | undefined
  return (uid) => {
    known ??= new Map(databases.map((name) => [uidOf(name), name]))
    return known.get(uid.toString('hex'))
  }
}

function uidOf(name: string): string {
  return createHash('sha256').update(`${name}@${name}`).digest('hex')
}

function hasEnded(error: unknown): void {
  // CursorNotFound and NoSuchSession.
  if (![43, 206].includes((error as { code?: number }).code ?? 0)) throw error
}
