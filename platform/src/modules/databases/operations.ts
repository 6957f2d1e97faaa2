import { createHash } from 'node:crypto'
import { Long, type Binary, type Document, type MongoClient } from 'mongodb'

/** Something of a user that goes on in MongoDB. */
export interface Operation {
  readonly kind: 'active' | 'cursor' | 'transaction'
  /** The user's database. */
  readonly database: string
  /** How long it has been running, or open. */
  readonly seconds: number
  /** Whether it waits for what others write, or for its turn to build an index. */
  readonly waits: boolean
  /** Ends it. One that has ended by itself is no error. */
  end(): Promise<void>
}

/** What goes on in MongoDB, and what it takes. */
export interface Load {
  readonly operations: readonly Operation[]
  /** The part of the cache that is yet to be written to disk. From 0.2 on MongoDB makes everybody's writes wait. */
  readonly dirty: number
  /** Bytes in use outside the cache. Undefined where MongoDB does not say. */
  readonly memory: number | undefined
  /** Files of collections and indexes that are in use. */
  readonly files: number
}

interface Lsid {
  readonly id: Binary
  readonly uid: Binary
}

/** What `$currentOp` says, of which this is read. */
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

/** These wait: for others of their kind, or as long as they were told. */
const WAITING = ['createIndexes', 'hello', 'isMaster', 'ismaster']

/** `databases`: those of users. What the platform does itself is none of their operations. */
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
  // 6.0 and 7.0; 8.0.
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

/** Sessions name their user by a hash. */
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
  // CursorNotFound, NoSuchSession.
  if (![43, 206].includes((error as { code?: number }).code ?? 0)) throw error
}
