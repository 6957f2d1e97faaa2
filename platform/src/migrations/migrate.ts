import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Collection, Db } from 'mongodb'
import { isDuplicateKey } from '../duplicate-key.ts'
import type { Log } from '../logger.ts'

/**
 * One change of stored documents. During a rolling update, processes of the previous fp version run while `up` runs and
 * after it, so they must be able to read the changed documents. An interrupted migration is run again from its beginning.
 */
export interface Migration {
  /** Counts from 1, without gaps. */
  readonly number: number
  /** What it does, for the log: "give apps …". */
  readonly name: string
  up(db: Db): Promise<void>
}

interface SchemaDoc {
  readonly _id: 'schema'
  /** The number of the newest completed migration. */
  readonly version: number
  readonly lockedBy?: string
  readonly lockedUntil?: Date
}

/** A migrating process holds the lock for LOCK ms and extends it every EXTEND ms. So the lock of a dead process becomes free. */
const LOCK = 30_000
const EXTEND = 10_000
/** How often a process that waits for another's migration checks it, in ms. */
const LOOK = 250

const COLLECTION = 'installation'

/**
 * Brings the documents to the newest form, before anything reads them. Of several processes one migrates and the others
 * wait. Rejects if the documents are from a newer version of the platform.
 */
export async function migrate(
  db: Db,
  migrations: readonly Migration[],
  log: Pick<Log, 'info'>,
  { lockMs = LOCK }: { lockMs?: number } = {},
): Promise<void> {
  const newest = migrations.length
  const schema = db.collection<SchemaDoc>(COLLECTION)
  const id = randomUUID()
  await ensureSchema(schema)
  // A new installation has nothing to change, so nothing is logged at its first start.
  const isNew = !(await db.listCollections({ name: 'apps' }, { nameOnly: true }).hasNext())
  for (;;) {
    const version = (await schema.findOne({ _id: 'schema' }))?.version ?? 0
    if (version > newest) throw tooNew(version, newest)
    if (version === newest) return
    if (await lock(schema, id, version, lockMs)) await run(version)
    else await delay(LOOK)
  }

  async function run(version: number): Promise<void> {
    const timer = setInterval(
      () => void lock(schema, id, version, lockMs).catch(() => undefined),
      Math.min(EXTEND, lockMs / 3),
    )
    try {
      const migration = migrations[version]!
      if (!isNew) log.info({ migration: migration.number }, `migration: ${migration.name}`)
      await migration.up(db)
      // If this process was paused for long, another one may have taken over the lock. Then that one completes the migration.
      await schema.updateOne(
        { _id: 'schema', version, lockedBy: id },
        { $set: { version: migration.number }, $unset: { lockedBy: 1, lockedUntil: 1 } },
      )
    } finally {
      clearInterval(timer)
    }
  }
}

async function ensureSchema(schema: Collection<SchemaDoc>): Promise<void> {
  try {
    await schema.updateOne({ _id: 'schema' }, { $setOnInsert: { version: 0 } }, { upsert: true })
  } catch (error) {
    // Another process has inserted the document at the same time.
    if (!isDuplicateKey(error)) throw error
  }
}

/** Takes or extends the lock, by MongoDB's clock alone. False: another process has it, or the version has changed. */
async function lock(
  schema: Collection<SchemaDoc>,
  id: string,
  version: number,
  lockMs: number,
): Promise<boolean> {
  const isFree = {
    $or: [{ $eq: ['$lockedBy', id] }, { $lt: [{ $ifNull: ['$lockedUntil', new Date(0)] }, '$$NOW'] }],
  }
  const { matchedCount } = await schema.updateOne({ _id: 'schema', version, $expr: isFree }, [
    { $set: { lockedBy: id, lockedUntil: { $add: ['$$NOW', lockMs] } } },
  ])
  return matchedCount === 1
}

function tooNew(version: number, newest: number): Error {
  return new Error(
    `The database holds data of a newer version of fp (form ${version}; this version knows forms up to ${newest}). Start the newer version again, or restore a backup that this version made.`,
  )
}
