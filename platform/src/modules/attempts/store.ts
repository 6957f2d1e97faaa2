import type { Collection, Db } from 'mongodb'

/** How long a key must wait between attempts. Times in ms. */
export interface Backoff {
  /** Attempts without a wait between them. */
  readonly free: number
  /** The wait after the last of these attempts. It doubles with each further attempt. */
  readonly first: number
  /** The longest wait. */
  readonly longest: number
  /** A key without attempts for this long after its wait starts again without one. */
  readonly forgottenAfter: number
}

/** See UserDocument for the names of the fields. */
interface AttemptDocument {
  _id: string
  count: number
  resets_at: Date
  /** Only of keys that back off. */
  blocked_until?: Date
  admitted?: boolean
}

const IS_OVER = { $lte: [{ $ifNull: ['$resets_at', new Date(0)] }, '$$NOW'] }
const ONE_MORE = { $cond: [IS_OVER, 1, { $add: ['$count', 1] }] }

/**
 * Counts attempts in MongoDB and by its clock, so that all replicas share the counts and a restart loses none. Each method
 * is one atomic step: of parallel attempts every one counts.
 */
export class AttemptStore {
  readonly #attempts: Collection<AttemptDocument>

  constructor(db: Db) {
    this.#attempts = db.collection('attempts')
  }

  async createIndexes(): Promise<void> {
    await this.#attempts.createIndex({ resets_at: 1 }, { expireAfterSeconds: 0 })
  }

  /** Counts one more attempt under this key. A window begins with its first attempt and lasts `window` ms. */
  async count(key: string, window: number): Promise<{ count: number; resetsAt: Date }> {
    const resets = { $cond: [IS_OVER, { $add: ['$$NOW', window] }, '$resets_at'] }
    const { count, resets_at: resetsAt } = await this.#update(key, [
      { $set: { count: ONE_MORE, resets_at: resets } },
    ])
    return { count, resetsAt }
  }

  /** Takes one attempt back. */
  async refund(key: string): Promise<void> {
    await this.#attempts.updateOne({ _id: key, count: { $gt: 0 } }, { $inc: { count: -1 } })
  }

  /** Counts one more attempt under a key that backs off. While the key waits, the attempt is refused and not counted. */
  async admit(key: string, backoff: Backoff): Promise<{ admitted: boolean; retryAt: Date }> {
    const { free, first, longest, forgottenAfter } = backoff
    const waits = { $gt: [{ $ifNull: ['$blocked_until', new Date(0)] }, '$$NOW'] }
    const power = { $pow: [2, { $subtract: ['$count', free] }] }
    const wait = {
      $cond: [{ $lt: ['$count', free] }, 0, { $min: [longest, { $multiply: [first, power] }] }],
    }
    const ifAdmitted = (value: unknown, field: string): object => ({ $cond: ['$admitted', value, field] })
    // Each stage reads what the stage before it has set.
    const document = await this.#update(key, [
      { $set: { admitted: { $not: [waits] } } },
      { $set: { count: ifAdmitted(ONE_MORE, '$count') } },
      { $set: { blocked_until: ifAdmitted({ $add: ['$$NOW', wait] }, '$blocked_until') } },
      { $set: { resets_at: { $add: ['$blocked_until', forgottenAfter] } } },
    ])
    return { admitted: document.admitted!, retryAt: document.blocked_until! }
  }

  async forget(key: string): Promise<void> {
    await this.#attempts.deleteOne({ _id: key })
  }

  /** Keeps the key for `lifetime` ms. */
  async remember(key: string, lifetime: number): Promise<void> {
    await this.#update(key, [{ $set: { count: 0, resets_at: { $add: ['$$NOW', lifetime] } } }])
  }

  async remembers(key: string): Promise<boolean> {
    return (await this.#attempts.findOne({ _id: key, $expr: { $gt: ['$resets_at', '$$NOW'] } })) !== null
  }

  async #update(key: string, stages: object[]): Promise<AttemptDocument> {
    const options = { upsert: true, returnDocument: 'after' } as const
    const document = await this.#attempts.findOneAndUpdate({ _id: key }, stages, options)
    if (!document) throw new Error('an upsert returned no document')
    return document
  }
}
