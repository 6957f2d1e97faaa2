import type { Collection, Db, Filter } from 'mongodb'
import type { PageRequest } from '../paging.ts'
import type { SealedEnvVar } from '../secrets/env-vars.ts'
import type { AppRecord, AppSummary, Live, LiveRoute } from './types.ts'

/** The document of an app. While the app is being deleted the document stays, marked, until all else of the app is removed. */
export type AppDoc = Omit<AppRecord, 'appId'> & {
  /** Storage has been turned on at some time. Its files stay until the app is deleted. */
  readonly hadStorage?: true
  readonly _id: string
  readonly deletedAt: Date | null
  /** The last numbers taken. They are never reused. */
  readonly lastVersion: number
  readonly lastOrder: number
  /** When its owner last asked for sleep while other replicas held the target's lock. They see this in the change stream. */
  readonly sleepAskedAt?: Date
}

export const APPS = 'apps'

/** Matches the app unless it is being deleted. */
export function present(appId: string): Filter<AppDoc> {
  return { _id: appId, deletedAt: null }
}

export type NewApp = Pick<
  AppRecord,
  'appId' | 'ownerId' | 'name' | 'idleTimeoutS' | 'entrypoint' | 'storage' | 'env' | 'sequence' | 'createdAt'
>

export class AppStore {
  readonly #apps: Collection<AppDoc>
  readonly #counters: Collection<{ _id: string; value: number }>

  constructor(db: Db) {
    this.#apps = db.collection(APPS)
    this.#counters = db.collection('counters')
  }

  async createIndexes(): Promise<void> {
    await this.#apps.createIndex({ ownerId: 1, sequence: -1 })
    await this.#apps.createIndex({ sequence: 1 }, { unique: true })
    await this.#apps.createIndex(
      { deletedAt: 1 },
      { partialFilterExpression: { deletedAt: { $gt: new Date(0) } } },
    )
  }

  async nextSequence(): Promise<number> {
    const counter = await this.#counters.findOneAndUpdate(
      { _id: 'apps' },
      { $inc: { value: 1 } },
      { upsert: true, returnDocument: 'after' },
    )
    if (!counter) throw new Error('the upsert of a counter returned nothing')
    return counter.value
  }

  async insert(app: NewApp): Promise<AppRecord> {
    const { appId, ...rest } = app
    const doc: AppDoc = {
      _id: appId,
      ...rest,
      ...(rest.storage && { hadStorage: true as const }),
      revision: 0,
      envRevision: 0,
      live: null,
      lastFailure: null,
      startedAt: null,
      sleptAt: null,
      updatedAt: app.createdAt,
      deletedAt: null,
      lastVersion: 0,
      lastOrder: 0,
    }
    await this.#apps.insertOne(doc)
    return toRecord(doc)
  }

  async find(appId: string): Promise<AppRecord | undefined> {
    const doc = await this.#apps.findOne(present(appId))
    return doc ? toRecord(doc) : undefined
  }

  async findOwned(ownerId: string, appId: string): Promise<AppRecord | undefined> {
    const doc = await this.#apps.findOne({ ...present(appId), ownerId })
    return doc ? toRecord(doc) : undefined
  }

  async route(appId: string): Promise<LiveRoute | undefined> {
    const doc = await this.#apps.findOne(present(appId), {
      projection: { ownerId: 1, live: 1, idleTimeoutS: 1, storage: 1 },
    })
    if (!doc) return undefined
    const { ownerId, live, idleTimeoutS, storage } = doc
    return { appId, ownerId, live, idleTimeoutS, storage }
  }

  /** The routes of all apps that have a live version. */
  async liveRoutes(): Promise<LiveRoute[]> {
    const docs = await this.#apps
      .find(
        { deletedAt: null, live: { $ne: null } },
        { projection: { ownerId: 1, live: 1, idleTimeoutS: 1, storage: 1 } },
      )
      .toArray()
    return docs.map(({ _id, ownerId, live, idleTimeoutS, storage }) => ({
      appId: _id,
      ownerId,
      live,
      idleTimeoutS,
      storage,
    }))
  }

  /** Newest first. One more than the page's limit when there are more. */
  async list(ownerId: string, page: PageRequest): Promise<AppSummary[]> {
    const docs = await this.#apps
      .find(
        {
          ownerId,
          deletedAt: null,
          ...(page.before === undefined ? {} : { sequence: { $lt: page.before } }),
        },
        // The variables and tracebacks of a hundred apps are megabytes.
        { projection: { env: 0, 'lastFailure.traceback': 0 } },
      )
      .sort({ sequence: -1 })
      .limit(page.limit + 1)
      .toArray()
    return docs.map(toSummary)
  }

  async some(ownerId: string, appIds: readonly string[]): Promise<AppSummary[]> {
    const docs = await this.#apps
      .find({ _id: { $in: [...appIds] }, ownerId, deletedAt: null }, { projection: { env: 0 } })
      .toArray()
    return docs.map(toSummary)
  }

  /** The owner of an app, also of one that is being deleted. */
  async ownerOf(appId: string): Promise<string | undefined> {
    const doc = await this.#apps.findOne({ _id: appId }, { projection: { ownerId: 1 } })
    return doc?.ownerId
  }

  async count(ownerId: string): Promise<number> {
    return this.#apps.countDocuments({ ownerId, deletedAt: null })
  }

  /** How many apps have or had storage, without the app `but`. */
  async countStored(ownerId: string, but: string): Promise<number> {
    return this.#apps.countDocuments({ ownerId, deletedAt: null, hadStorage: true, _id: { $ne: but } })
  }

  async update(
    appId: string,
    set: { name?: string; idleTimeoutS?: number; entrypoint?: string | null; updatedAt: Date },
  ): Promise<boolean> {
    const { matchedCount } = await this.#apps.updateOne(present(appId), { $set: set })
    return matchedCount === 1
  }

  /**
   * Sets the app's environment and storage: a compare-and-set on the revision that `env` was made from. The same write gives
   * the live target, if any, its new revision, so that no reader sees the new environment with the old target. Returns what
   * was live before, or undefined when another change came first.
   */
  async setSurroundings(
    appId: string,
    was: { revision: number; live: boolean },
    next: { readonly env: readonly SealedEnvVar[]; readonly storage: boolean },
    now: Date,
  ): Promise<{ before: Live | null; revision: number } | undefined> {
    const revision = was.revision + 1
    const before = await this.#apps.findOneAndUpdate(
      { ...present(appId), revision: was.revision, live: was.live ? { $ne: null } : null },
      {
        $set: {
          ...next,
          ...(next.storage && { hadStorage: true as const }),
          revision,
          envRevision: revision,
          updatedAt: now,
          ...(was.live ? { 'live.revision': revision } : {}),
        },
      },
      { returnDocument: 'before' },
    )
    return before ? { before: before.live, revision } : undefined
  }

  /** From here on nobody finds the app. Undefined when it was marked before. */
  async markDeleted(appId: string, now: Date): Promise<AppRecord | undefined> {
    const doc = await this.#apps.findOneAndUpdate(present(appId), { $set: { deletedAt: now } })
    return doc ? toRecord(doc) : undefined
  }

  /** Apps whose deletion began by then and has not ended. */
  async deleted(by: Date): Promise<AppRecord[]> {
    const docs = await this.#apps.find({ deletedAt: { $lte: by } }).toArray()
    return docs.map(toRecord)
  }

  async remove(appId: string): Promise<void> {
    await this.#apps.deleteOne({ _id: appId })
  }
}

function toSummary(doc: AppDoc): AppSummary {
  const { env: _env, lastFailure, ...rest } = toRecord(doc)
  return { ...rest, lastFailure: lastFailure && { ...lastFailure, traceback: null } }
}

export function toRecord(doc: AppDoc): AppRecord {
  const {
    _id,
    deletedAt: _deleted,
    lastVersion: _version,
    lastOrder: _order,
    sleepAskedAt: _asked,
    hadStorage: _stored,
    ...rest
  } = doc
  return { appId: _id, ...rest }
}
