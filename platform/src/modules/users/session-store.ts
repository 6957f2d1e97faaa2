import type { Collection, Db } from 'mongodb'

/** See UserDocument for the names of the fields. */
interface SessionDocument {
  /** SHA-256 of the token: nobody who reads the database can log in with it. */
  _id: string
  user_id: string
  created_at: Date
  expires_at: Date
}

export interface SessionRecord {
  readonly sessionId: string
  readonly userId: string
  readonly expiresAt: Date
}

/** The sessions in MongoDB. */
export class SessionStore {
  readonly #sessions: Collection<SessionDocument>

  constructor(db: Db) {
    this.#sessions = db.collection('sessions')
  }

  async createIndexes(): Promise<void> {
    await this.#sessions.createIndexes([
      { key: { expires_at: 1 }, expireAfterSeconds: 0 },
      { key: { user_id: 1 } },
    ])
  }

  async insert({ sessionId, userId, expiresAt }: SessionRecord): Promise<void> {
    await this.#sessions.insertOne({
      _id: sessionId,
      user_id: userId,
      created_at: new Date(),
      expires_at: expiresAt,
    })
  }

  /** Finds only a session that has not expired at `now`. */
  async find(sessionId: string, now: Date): Promise<SessionRecord | undefined> {
    // MongoDB removes expired sessions only once a minute, so the date is checked here too.
    const document = await this.#sessions.findOne({ _id: sessionId, expires_at: { $gt: now } })
    return document
      ? { sessionId: document._id, userId: document.user_id, expiresAt: document.expires_at }
      : undefined
  }

  async extend(sessionId: string, expiresAt: Date): Promise<void> {
    await this.#sessions.updateOne({ _id: sessionId }, { $set: { expires_at: expiresAt } })
  }

  async remove(sessionId: string): Promise<void> {
    await this.#sessions.deleteOne({ _id: sessionId })
  }
}
