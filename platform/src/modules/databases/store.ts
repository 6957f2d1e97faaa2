import { MongoServerError, type Collection, type Db, type MongoClient } from 'mongodb'

/** A user's database and the MongoDB user that may use it, and nothing else. */
export interface DatabaseRecord {
  readonly userId: string
  /** The database's name; also the name of the MongoDB user, and where it is known. */
  readonly name: string
  /** Sealed. */
  readonly password: string
  /** Whether the MongoDB user is known to exist with this password. */
  readonly ready: boolean
}

type DatabaseDoc = Omit<DatabaseRecord, 'userId'> & { readonly _id: string; readonly createdAt: Date }

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
  async reserve(userId: string, name: string, password: string, now: Date): Promise<DatabaseRecord> {
    const doc = await this.#databases.findOneAndUpdate(
      { _id: userId },
      { $setOnInsert: { name, password, ready: false, createdAt: now } },
      { upsert: true, returnDocument: 'after' },
    )
    if (!doc) throw new Error('the upsert of a database returned nothing')
    return toRecord(doc)
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
  return { userId: doc._id, name: doc.name, password: doc.password, ready: doc.ready }
}
