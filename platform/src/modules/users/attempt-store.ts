import type { Db } from 'mongodb'

interface AttemptDocument {
  _id: string
  count: number
  resets_at: Date
  /** Of keys that back off. */
  blocked_until?: Date
  admitted?: boolean
}

/** How a key is slowed down before it is locked. Times in ms. */
export interface Backoff {
  /** Attempts that may follow each other at once. */
  readonly free: number
  /** The wait after the last of them; it doubles with each further attempt, */
  readonly first: number
  /** up to this. */
  readonly longest: number
  /** A key that was quiet this long after its wait begins anew. */
  readonly forgottenAfter: number
}

/**
 * Counts attempts; in MongoDB and by its clock, so that every replica counts the same and a restart forgets nothing. Each
 * method is one atomic step: parallel attempts all count.
 */
export interface AttemptStore {
  ensureIndexes(): Promise<void>
  /** One more attempt under this key. A window begins with its first attempt and lasts `window` ms. */
  count(key: string, window: number): Promise<{ count: number; resetsAt: Date }>
  /** Takes one attempt back. */
  refund(key: string): Promise<void>
  /** One more attempt under a key that backs off. Refused while the key waits; that is then no attempt. */
  admit(key: string, backoff: Backoff): Promise<{ admitted: boolean; retryAt: Date }>
  forget(key: string): Promise<void>
  /** Keeps the key for `lifetime` ms. */
  remember(key: string, lifetime: number): Promise<void>
  remembers(key: string): Promise<boolean>
}

export function createAttemptStore(db: Db): AttemptStore {
  const attempts = db.collection<AttemptDocument>('attempts')
  const isOver = { $lte: [{ $ifNull: ['$resets_at', new Date(0)] }, '$$NOW'] }
  const oneMore = { $cond: [isOver, 1, { $add: ['$count', 1] }] }

  async function update(key: string, stages: object[]): Promise<AttemptDocument> {
    const options = { upsert: true, returnDocument: 'after' } as const
    const document = await attempts.findOneAndUpdate({ _id: key }, stages, options)
    if (!document) throw new Error('an upsert returned no document')
    return document
  }

  return {
    async ensureIndexes() {
      await attempts.createIndex({ resets_at: 1 }, { expireAfterSeconds: 0 })
    },

    async count(key, window) {
      const resets = { $cond: [isOver, { $add: ['$$NOW', window] }, '$resets_at'] }
      const { count, resets_at: resetsAt } = await update(key, [
        { $set: { count: oneMore, resets_at: resets } },
      ])
      return { count, resetsAt }
    },

    async refund(key) {
      await attempts.updateOne({ _id: key, count: { $gt: 0 } }, { $inc: { count: -1 } })
    },

    async admit(key, { free, first, longest, forgottenAfter }) {
      const waits = { $gt: [{ $ifNull: ['$blocked_until', new Date(0)] }, '$$NOW'] }
      const power = { $pow: [2, { $subtract: ['$count', free] }] }
      const wait = {
        $cond: [{ $lt: ['$count', free] }, 0, { $min: [longest, { $multiply: [first, power] }] }],
      }
      const ifAdmitted = (value: unknown, field: string): object => ({ $cond: ['$admitted', value, field] })
      // In stages, as each reads what the one before has set.
      const document = await update(key, [
        { $set: { admitted: { $not: [waits] } } },
        { $set: { count: ifAdmitted(oneMore, '$count') } },
        { $set: { blocked_until: ifAdmitted({ $add: ['$$NOW', wait] }, '$blocked_until') } },
        { $set: { resets_at: { $add: ['$blocked_until', forgottenAfter] } } },
      ])
      return { admitted: document.admitted!, retryAt: document.blocked_until! }
    },

    async forget(key) {
      await attempts.deleteOne({ _id: key })
    },

    async remember(key, lifetime) {
      await update(key, [{ $set: { count: 0, resets_at: { $add: ['$$NOW', lifetime] } } }])
    },

    async remembers(key) {
      return (await attempts.findOne({ _id: key, $expr: { $gt: ['$resets_at', '$$NOW'] } })) !== null
    },
  }
}
