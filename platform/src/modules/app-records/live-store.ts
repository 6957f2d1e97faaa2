import type { Collection, Db } from 'mongodb'
import type { TargetId } from '../../runtime/targets.ts'
import { APPS, present, toRecord, type AppDoc } from './store.ts'
import type { AppRecord, Failure, Live } from './types.ts'

/** The fields of an app that change when it is deployed, runs and sleeps. Each write is one atomic update of its document. */
export class LiveStore {
  readonly #apps: Collection<AppDoc>

  constructor(db: Db) {
    this.#apps = db.collection(APPS)
  }

  /** Takes the next numbers of an app; undefined when the app no longer exists. */
  async take(
    appId: string,
    take: { version?: boolean; order?: boolean; revision?: boolean },
  ): Promise<{ version: number; order: number; revision: number; app: AppRecord } | undefined> {
    const doc = await this.#apps.findOneAndUpdate(
      present(appId),
      {
        $inc: {
          lastVersion: take.version ? 1 : 0,
          lastOrder: take.order ? 1 : 0,
          revision: take.revision ? 1 : 0,
        },
      },
      { returnDocument: 'after' },
    )
    if (!doc) return undefined
    return { version: doc.lastVersion, order: doc.lastOrder, revision: doc.revision, app: toRecord(doc) }
  }

  /**
   * Makes a target live, only if the app still exists, no newer deployment is live, and the environment has not changed
   * since the target's revision was taken. Returns what was live before (null: nothing), or undefined when nothing changed.
   */
  async goLive(appId: string, live: Live, now: Date): Promise<{ before: Live | null } | undefined> {
    const before = await this.#apps.findOneAndUpdate(
      {
        ...present(appId),
        envRevision: { $lt: live.revision },
        $or: [{ live: null }, { 'live.order': { $lt: live.order } }],
      },
      { $set: { live, lastFailure: null, startedAt: now, sleptAt: null, updatedAt: now } },
      { returnDocument: 'before' },
    )
    return before ? { before: before.live } : undefined
  }

  /** Sets fields of the live target. For any other target this changes nothing. */
  async note(
    target: TargetId,
    set: { lastFailure: Failure } | { startedAt: Date } | { sleptAt: Date },
  ): Promise<void> {
    await this.#apps.updateOne(
      { ...present(target.appId), 'live.version': target.version, 'live.revision': target.revision },
      { $set: set },
    )
  }

  /** Asks all replicas, which follow the change stream, to put the live target to sleep. */
  async askSleep(appId: string, now: Date): Promise<void> {
    await this.#apps.updateOne(present(appId), { $set: { sleepAskedAt: now } })
  }

  /** Records the failure of a deployment, if nothing is live. */
  async noteFirstFailure(appId: string, failure: Failure): Promise<void> {
    await this.#apps.updateOne({ ...present(appId), live: null }, { $set: { lastFailure: failure } })
  }

  /** Apps that ran when the platform ended fell asleep then, unless they had failed. That time is not known, so `now` is used. */
  async noteAllAsleep(now: Date): Promise<void> {
    await this.#apps.updateMany(
      {
        live: { $ne: null },
        $or: [{ sleptAt: null }, { $expr: { $lt: ['$sleptAt', '$startedAt'] } }],
        $nor: [{ lastFailure: { $ne: null }, $expr: { $gte: ['$lastFailure.at', '$startedAt'] } }],
      },
      { $set: { sleptAt: now } },
    )
  }
}
