import { MongoServerError, type Collection, type Db, type MongoClient } from 'mongodb'
import { readLoad, type Load } from './operations.ts'
import { setRights, WRITE_ROLE } from './rights.ts'
import type { DatabaseUsage } from './usage.ts'

/** A user's database and the MongoDB user that may use this database only. */
export interface DatabaseRecord {
  readonly userId: string
  /** The database's name. It is also the name of the MongoDB user and of its authentication database. */
  readonly name: string
  /** Sealed. */
  readonly password: string
  /** See PASSWORD_GENERATION: passwords of an earlier generation may have become known to others. */
  readonly generation: number
  /** Whether the MongoDB user is known to exist with this password. */
  readonly ready: boolean
  /** Whether its user may only read and delete. */
  readonly full: boolean
  /** Undefined until it was measured for the first time. */
  readonly usage?: DatabaseUsage
}

type DatabaseDoc = Omit<DatabaseRecord, 'userId' | 'generation' | 'full'> & {
  readonly _id: string
  /** Absent in records from before there were generations. */
  readonly generation?: number
  readonly full?: boolean
  readonly createdAt: Date
}

const USER_EXISTS = 51_003

export class DatabaseStore {
  readonly #databases: Collection<DatabaseDoc>
  readonly #client: MongoClient

  constructor(db: Db, client: MongoClient) {
    this.#databases = db.collection('databases')
    this.#client = client
  }

  async find(userId: string): Promise<DatabaseRecord | undefined> {
    const doc = await this.#databases.findOne({ _id: userId })
    return doc ? toRecord(doc) : undefined
  }

  /** Returns the record of the first caller: of two that reserve at once, both go on with the same password. */
  async reserve(
    { userId, name, password, generation }: Omit<DatabaseRecord, 'ready' | 'full' | 'usage'>,
    now: Date,
  ): Promise<DatabaseRecord> {
    const doc = await this.#databases.findOneAndUpdate(
      { _id: userId },
      { $setOnInsert: { name, password, generation, ready: false, createdAt: now } },
      { upsert: true, returnDocument: 'after' },
    )
    if (!doc) throw new Error('the upsert of a database returned nothing')
    return toRecord(doc)
  }

  /** If two callers replace a password at once, both go on with that of the first. */
  async replacePassword(
    old: DatabaseRecord,
    next: Pick<DatabaseRecord, 'password' | 'generation'>,
  ): Promise<DatabaseRecord> {
    await this.#databases.updateOne(
      { _id: old.userId, password: old.password },
      { $set: { ...next, ready: false } },
    )
    return (await this.find(old.userId)) ?? old
  }

  /** Those whose password is not of this generation, or is not known to have been set in MongoDB. */
  async outdated(generation: number): Promise<DatabaseRecord[]> {
    const found = this.#databases.find({ $or: [{ generation: { $ne: generation } }, { ready: false }] })
    return (await found.toArray()).map(toRecord)
  }

  async markReady(userId: string): Promise<void> {
    await this.#databases.updateOne({ _id: userId }, { $set: { ready: true } })
  }

  /** Idempotent: afterwards the user exists with this password. An existing user keeps its rights: its database may be full. */
  async createUser(name: string, password: string): Promise<void> {
    const db = this.#client.db(name)
    const login = { pwd: password, mechanisms: ['SCRAM-SHA-256'] }
    try {
      await db.command({ createUser: name, ...login, roles: [{ role: WRITE_ROLE, db: name }] })
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === USER_EXISTS)) throw error
      await db.command({ updateUser: name, ...login })
    }
  }

  /** Those whose MongoDB user exists. */
  async list(): Promise<DatabaseRecord[]> {
    const docs = await this.#databases.find({ ready: true }).toArray()
    return docs.map(toRecord)
  }

  async measure(name: string): Promise<DatabaseUsage> {
    const stats = await this.#client.db(name).command({ dbStats: 1 })
    const [data, indexes, disk] = [stats['dataSize'], stats['indexSize'], stats['totalSize']] as number[]
    return {
      bytes: data! + indexes!,
      diskBytes: disk!,
      files: (stats['collections'] as number) + (stats['indexes'] as number),
      measuredAt: new Date(),
    }
  }

  /** What happens in these databases now. */
  load(names: readonly string[]): Promise<Load> {
    return readLoad(this.#client, names)
  }

  async saveUsage(userId: string, usage: DatabaseUsage): Promise<void> {
    await this.#databases.updateOne({ _id: userId }, { $set: { usage } })
  }

  /** Sets the rights first: if the process ends in between, the next look does both again. */
  async setFull({ userId, name }: DatabaseRecord, full: boolean): Promise<void> {
    await setRights(this.#client.db(name), full)
    await this.#databases.updateOne({ _id: userId }, { $set: { full } })
  }

  async compact(name: string): Promise<void> {
    const db = this.#client.db(name)
    const collections = await db.listCollections({ type: 'collection' }, { nameOnly: true }).toArray()
    // `force` allows this on a primary. Since MongoDB 4.4 it does not block reads and writes.
    for (const { name: collection } of collections) await db.command({ compact: collection, force: true })
  }
}

function toRecord(doc: DatabaseDoc): DatabaseRecord {
  const { _id: userId, name, password, generation = 0, ready, full = false, usage } = doc
  return { userId, name, password, generation, ready, full, ...(usage && { usage }) }
}
