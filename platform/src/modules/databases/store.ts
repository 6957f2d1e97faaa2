import { MongoServerError, type Collection, type Db, type MongoClient } from 'mongodb'
import { isDuplicateKey } from '../../duplicate-key.ts'
import { readLoad, type Load } from './operations.ts'
import { setRights, WRITE_ROLE } from './rights.ts'
import type { DatabaseUsage } from './usage.ts'

/** A user's database and the MongoDB user that may use it, and nothing else. */
export interface DatabaseRecord {
  readonly userId: string
  /** The database's name; also the name of the MongoDB user, and where it is known. */
  readonly name: string
  /** Sealed. */
  readonly password: string
  /** Which rules the password was made under; those of an earlier generation may have been seen by others. */
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
  /** Absent in records that were made before there were generations. */
  readonly generation?: number
  readonly full?: boolean
  readonly createdAt: Date
}

/** Who measures the databases, of all processes that share them. */
interface LeadDoc {
  readonly _id: 'database-meter'
  readonly holder: string
  readonly until: Date
}

const USER_EXISTS = 51_003

export class DatabaseStore {
  readonly #databases: Collection<DatabaseDoc>
  readonly #leads: Collection<LeadDoc>
  readonly #client: MongoClient

  constructor(db: Db, client: MongoClient) {
    this.#databases = db.collection('databases')
    this.#leads = db.collection('leads')
    this.#client = client
  }

  async find(userId: string): Promise<DatabaseRecord | undefined> {
    const doc = await this.#databases.findOne({ _id: userId })
    return doc ? toRecord(doc) : undefined
  }

  /** The record of whoever came first: of two that reserve at once, both go on with the same password. */
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

  /** Of two that replace a password at once, the first one's stays and both go on with that. */
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

  /** Those whose password is not of this generation, or was not given to MongoDB as far as is known. */
  async outdated(generation: number): Promise<DatabaseRecord[]> {
    const found = this.#databases.find({ $or: [{ generation: { $ne: generation } }, { ready: false }] })
    return (await found.toArray()).map(toRecord)
  }

  async markReady(userId: string): Promise<void> {
    await this.#databases.updateOne({ _id: userId }, { $set: { ready: true } })
  }

  /** Idempotent: afterwards the user exists with this password. One that exists keeps its rights: its database may be full. */
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

  /** Those whose user exists. */
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

  /** What goes on in these databases. */
  load(names: readonly string[]): Promise<Load> {
    return readLoad(this.#client, names)
  }

  async saveUsage(userId: string, usage: DatabaseUsage): Promise<void> {
    await this.#databases.updateOne({ _id: userId }, { $set: { usage } })
  }

  /** The rights first: when this is cut off, the next look does it again. */
  async setFull({ userId, name }: DatabaseRecord, full: boolean): Promise<void> {
    await setRights(this.#client.db(name), full)
    await this.#databases.updateOne({ _id: userId }, { $set: { full } })
  }

  async compact(name: string): Promise<void> {
    const db = this.#client.db(name)
    const collections = await db.listCollections({ type: 'collection' }, { nameOnly: true }).toArray()
    // `force`: on a primary, where it does not hold up reads and writes since MongoDB 4.4.
    for (const { name: collection } of collections) await db.command({ compact: collection, force: true })
  }

  /** Whether `holder` may go on for `forMs`; nobody else may meanwhile. By MongoDB's clock alone. */
  async lead(holder: string, forMs: number): Promise<boolean> {
    const until = { $dateAdd: { startDate: '$$NOW', unit: 'millisecond' as const, amount: forMs } }
    const take = [{ $set: { holder, until } }]
    const free = { $or: [{ $eq: ['$holder', holder] }, { $lt: ['$until', '$$NOW'] }] }
    const taken = await this.#leads.updateOne({ _id: 'database-meter', $expr: free }, take)
    if (taken.matchedCount > 0) return true
    try {
      await this.#leads.updateOne({ _id: 'database-meter', holder: { $exists: false } }, take, {
        upsert: true,
      })
      return true
    } catch (error) {
      // Somebody else has it.
      if (isDuplicateKey(error)) return false
      throw error
    }
  }
}

function toRecord(doc: DatabaseDoc): DatabaseRecord {
  const { _id: userId, name, password, generation = 0, ready, full = false, usage } = doc
  return { userId, name, password, generation, ready, full, ...(usage && { usage }) }
}
