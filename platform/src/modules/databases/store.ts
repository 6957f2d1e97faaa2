import { MongoServerError, type Collection, type Db, type MongoClient } from 'mongodb'

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
}

type DatabaseDoc = Omit<DatabaseRecord, 'userId' | 'generation'> & {
  readonly _id: string
  /** Absent in records that were made before there were generations. */
  readonly generation?: number
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

  /** The record of whoever came first: of two that reserve at once, both go on with the same password. */
  async reserve(
    { userId, name, password, generation }: Omit<DatabaseRecord, 'ready'>,
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

  /** Idempotent: afterwards the user exists with this password and these rights, whatever was there before. */
  async createUser(name: string, password: string): Promise<void> {
    const db = this.#client.db(name)
    const user = {
      pwd: password,
      // readWrite includes making collections and indexes; it reaches no other database.
      roles: [{ role: 'readWrite', db: name }],
      mechanisms: ['SCRAM-SHA-256'],
    }
    try {
      await db.command({ createUser: name, ...user })
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === USER_EXISTS)) throw error
      await db.command({ updateUser: name, ...user })
    }
  }
}

function toRecord(doc: DatabaseDoc): DatabaseRecord {
  const { _id: userId, name, password, generation = 0, ready } = doc
  return { userId, name, password, generation, ready }
}
