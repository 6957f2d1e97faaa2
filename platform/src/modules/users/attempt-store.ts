import type { Db } from 'mongodb'

interface AttemptDocument {
  _id: string
  count: number
  resets_at: Date
}

/** Counts attempts in windows; in MongoDB, so that every replica counts the same and a restart forgets nothing. */
export interface AttemptStore {
  ensureIndexes(): Promise<void>
  /** One more attempt under this key. A window begins with its first attempt and lasts `window` ms. */
  count(key: string, window: number): Promise<{ count: number; resetsAt: Date }>
  /** Takes one attempt back. */
  refund(key: string): Promise<void>
}

export function createAttemptStore(db: Db): AttemptStore {
  const attempts = db.collection<AttemptDocument>('attempts')
  return {
    async ensureIndexes() {
      await attempts.createIndex({ resets_at: 1 }, { expireAfterSeconds: 0 })
    },

    async count(key, window) {
      const over = { $lte: [{ $ifNull: ['$resets_at', new Date(0)] }, '$$NOW'] }
      // One atomic step on the database's clock, so that parallel attempts and replicas all count.
      const document = await attempts.findOneAndUpdate(
        { _id: key },
        [
          {
            $set: {
              count: { $cond: [over, 1, { $add: ['$count', 1] }] },
              resets_at: { $cond: [over, { $add: ['$$NOW', window] }, '$resets_at'] },
            },
          },
        ],
        { upsert: true, returnDocument: 'after' },
      )
      if (!document) throw new Error('an upsert returned no document')
      return { count: document.count, resetsAt: document.resets_at }
    },

    async refund(key) {
      await attempts.updateOne({ _id: key, count: { $gt: 0 } }, { $inc: { count: -1 } })
    },
  }
}
