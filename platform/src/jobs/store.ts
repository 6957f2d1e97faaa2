import type { Clock } from '@fp/scaler'
import type { Collection, Db, Filter } from 'mongodb'
import { isDuplicateKey } from '../duplicate-key.ts'
import type { Job, JobState } from './types.ts'

export type JobDoc = Omit<Job, 'id' | 'cancelled'> & {
  readonly _id: string
  /** Set only while the job has not ended, so that indexes hold nothing else. */
  readonly open?: true
  readonly cancelled?: true
  /** Set only while the job runs. For one kind and key each slot is taken once. */
  readonly slot?: number
  /** When MongoDB removes the job. */
  readonly expiresAt?: Date
}

export const JOBS = 'jobs'
/** A write that succeeded survives the loss of any one server. */
const DURABLE = { writeConcern: { w: 'majority' } } as const

/** Jobs in MongoDB. A write that changes a job's state names the state it expects, and returns whether the job had it. */
export class JobStore {
  readonly #jobs: Collection<JobDoc>
  readonly #orders: Collection<{ _id: string; last: number }>
  readonly #clock: Clock

  constructor(db: Db, clock: Clock) {
    this.#clock = clock
    this.#jobs = db.collection(JOBS, { readPreference: 'primary' })
    this.#orders = db.collection('counters')
  }

  async createIndexes(): Promise<void> {
    const open = { partialFilterExpression: { open: true } }
    await this.#jobs.createIndex({ open: 1, kind: 1, key: 1, order: 1 }, open)
    await this.#jobs.createIndex({ open: 1, member: 1 }, open)
    await this.#jobs.createIndex(
      { kind: 1, key: 1, slot: 1 },
      { unique: true, partialFilterExpression: { slot: { $exists: true } } },
    )
    await this.#jobs.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 })
  }

  async nextOrder(): Promise<number> {
    const counter = await this.#orders.findOneAndUpdate(
      { _id: JOBS },
      { $inc: { last: 1 } },
      { upsert: true, returnDocument: 'after' },
    )
    return counter!.last
  }

  async insert({ id, cancelled: _, ...job }: Job): Promise<void> {
    await this.#jobs.insertOne({ _id: id, ...job, open: true }, DURABLE)
  }

  /** Stores a job that begins at once in the first slot of its key. False, and nothing is stored, when that slot is taken. */
  async insertRunning({ id, cancelled: _, ...job }: Job): Promise<boolean> {
    try {
      await this.#jobs.insertOne({ _id: id, ...job, open: true, slot: 0 }, DURABLE)
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  async find(id: string): Promise<Job | undefined> {
    return toJob(await this.#jobs.findOne({ _id: id }))
  }

  /** Whether fewer than `perKey` jobs of the key go first: older ones that are due or were begun, and any that run. */
  async mayBegin({ id, kind, key, order }: Job, perKey: number): Promise<boolean> {
    const before: Filter<JobDoc>[] = [
      { runAt: { $lte: this.#now() } },
      // A job without a delay is due, even if the clock of the process that accepted it is ahead of this one.
      { $expr: { $lte: ['$runAt', '$createdAt'] } },
      { attempt: { $gt: 0 } },
    ]
    const filter: Filter<JobDoc> = {
      open: true,
      kind,
      key,
      _id: { $ne: id },
      $or: [{ order: { $lt: order }, $or: before }, { state: 'running' }],
    }
    return (await this.#jobs.countDocuments(filter, { limit: perKey })) < perKey
  }

  /** Begins the next attempt. Undefined: this process may not begin it, or not now. */
  async claim({ id, attempt, member }: Job, perKey: number): Promise<Job | undefined> {
    for (let slot = 0; slot < perKey; slot++) {
      try {
        const filter: Filter<JobDoc> = { _id: id, open: true, state: 'waiting', attempt, member }
        const claimed = await this.#jobs.findOneAndUpdate(
          { ...filter, cancelled: { $exists: false } },
          { $set: { state: 'running', slot }, $inc: { attempt: 1 } },
          { returnDocument: 'after', ...DURABLE },
        )
        return toJob(claimed)
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
      }
    }
    return undefined
  }

  async progress(id: string, attempt: number, progress: unknown): Promise<boolean> {
    const { matchedCount } = await this.#jobs.updateOne(
      { _id: id, state: 'running', attempt },
      { $set: { progress } },
    )
    return matchedCount === 1
  }

  async retry(id: string, attempt: number, runAt: Date, error: string): Promise<Job | undefined> {
    const retried = await this.#jobs.findOneAndUpdate(
      { _id: id, state: 'running', attempt },
      { $set: { state: 'waiting', runAt, error }, $unset: { slot: true } },
      { returnDocument: 'after', ...DURABLE },
    )
    return toJob(retried)
  }

  /** Ends the job if it still has the state that the caller knows. */
  async end(
    { id, state, attempt, member }: Job,
    as: JobState,
    { error = null, retention }: { error?: string | null; retention: number },
  ): Promise<boolean> {
    const now = this.#now()
    const { matchedCount } = await this.#jobs.updateOne(
      { _id: id, open: true, state, attempt, member },
      {
        $set: { state: as, error, finishedAt: now, expiresAt: new Date(now.getTime() + retention) },
        $unset: { open: true, slot: true, cancelled: true },
      },
      DURABLE,
    )
    return matchedCount === 1
  }

  /** Marks all open jobs of the key as cancelled. Their processes end them. */
  async cancel(kind: string, key: string): Promise<void> {
    await this.#jobs.updateMany({ open: true, kind, key }, { $set: { cancelled: true } }, DURABLE)
  }

  async countOpen(kind: string, key: string): Promise<number> {
    return this.#jobs.countDocuments({ open: true, kind, key })
  }

  async open(ids: readonly string[]): Promise<Job[]> {
    const docs = await this.#jobs.find({ open: true, _id: { $in: [...ids] } }).toArray()
    return docs.map((doc) => toJob(doc)!)
  }

  /** The members that hold open jobs of these kinds; null stands for jobs that nobody holds. */
  async holders(kinds: readonly string[]): Promise<(string | null)[]> {
    return this.#jobs.distinct('member', { open: true, kind: { $in: [...kinds] } })
  }

  /** The open jobs of these holders, without payloads. */
  async heldBy(holders: readonly (string | null)[], kinds: readonly string[]): Promise<Job[]> {
    const docs = await this.#jobs
      .find(
        { open: true, kind: { $in: [...kinds] }, member: { $in: [...holders] } },
        { projection: { payload: 0 } },
      )
      .sort({ order: 1 })
      .toArray()
    return docs.map((doc) => toJob(doc)!)
  }

  /** Takes the job over from a dead process. If that still writes, it names an attempt that is over. */
  async adopt({ id, attempt, member }: Job, by: string): Promise<Job | undefined> {
    const adopted = await this.#jobs.findOneAndUpdate(
      { _id: id, open: true, attempt, member },
      { $set: { member: by, state: 'waiting' }, $unset: { slot: true } },
      { returnDocument: 'after', ...DURABLE },
    )
    return toJob(adopted)
  }

  /** Lets any process take the open jobs of this member. */
  async release(member: string): Promise<void> {
    await this.#jobs.updateMany(
      { open: true, member },
      { $set: { member: null, state: 'waiting' }, $unset: { slot: true } },
      DURABLE,
    )
  }

  #now(): Date {
    return new Date(this.#clock.wall())
  }
}

function toJob(doc: JobDoc | null): Job | undefined {
  if (!doc) return undefined
  const { _id, open: _open, slot: _slot, expiresAt: _expires, cancelled = false, ...rest } = doc
  return { id: _id, ...rest, cancelled }
}
