import type { Db } from 'mongodb'

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

export interface SessionStore {
  ensureIndexes(): Promise<void>
  insert(session: SessionRecord): Promise<void>
  /** Finds only a session that has not expired at `now`. */
  find(sessionId: string, now: Date): Promise<SessionRecord | undefined>
  extend(sessionId: string, expiresAt: Date): Promise<void>
  remove(sessionId: string): Promise<void>
}

export function createSessionStore(db: Db): SessionStore {
  const sessions = db.collection<SessionDocument>('sessions')
  return {
    async ensureIndexes() {
      await sessions.createIndexes([
        { key: { expires_at: 1 }, expireAfterSeconds: 0 },
        { key: { user_id: 1 } },
      ])
    },

    async insert({ sessionId, userId, expiresAt }) {
      await sessions.insertOne({
        _id: sessionId,
        user_id: userId,
        created_at: new Date(),
        expires_at: expiresAt,
      })
    },

    async find(sessionId, now) {
      // MongoDB removes expired sessions only once a minute, so the date is checked here too.
      const document = await sessions.findOne({ _id: sessionId, expires_at: { $gt: now } })
      return document
        ? { sessionId: document._id, userId: document.user_id, expiresAt: document.expires_at }
        : undefined
    },

    async extend(sessionId, expiresAt) {
      await sessions.updateOne({ _id: sessionId }, { $set: { expires_at: expiresAt } })
    },

    async remove(sessionId) {
      await sessions.deleteOne({ _id: sessionId })
    },
  }
}
