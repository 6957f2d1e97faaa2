import type { Db } from 'mongodb'
import type { AttemptStore } from './types.ts'

interface AttemptDocument {
  _id: string
  count: number
  resets_at: Date
  /** Only of keys that back off. */
  blocked_until?: Date
  admitted?: boolean
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
      // Each stage reads what the stage before it has set.
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
