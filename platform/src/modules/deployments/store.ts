import { MongoServerError, type Collection, type Db } from 'mongodb'
import type { PageRequest } from '../paging.ts'
import { isFinal, type DeploymentRecord, type StageEvent } from './types.ts'

export type DeploymentDoc = Omit<DeploymentRecord, 'deploymentId'> & {
  readonly _id: string
  /** Only while it is unfinished, so that the index holds nothing else. */
  readonly open?: true
  /** Only while it is its app's turn: a unique index lets there be one of an app. */
  readonly running?: true
}

export const DEPLOYMENTS = 'deployments'
const DUPLICATE_KEY = 11_000

export class DeploymentStore {
  readonly #deployments: Collection<DeploymentDoc>

  constructor(db: Db) {
    this.#deployments = db.collection(DEPLOYMENTS)
  }

  async createIndexes(): Promise<void> {
    await this.#deployments.createIndex({ appId: 1, order: -1 })
    await this.#deployments.createIndex({ open: 1, appId: 1 }, { partialFilterExpression: { open: true } })
    await this.#deployments.createIndex(
      { running: 1, appId: 1 },
      { unique: true, partialFilterExpression: { running: true } },
    )
  }

  async insert(deployment: DeploymentRecord): Promise<void> {
    const { deploymentId, ...rest } = deployment
    await this.#deployments.insertOne({ _id: deploymentId, ...rest, open: true })
  }

  async find(appId: string, deploymentId: string): Promise<DeploymentRecord | undefined> {
    const doc = await this.#deployments.findOne({ _id: deploymentId, appId })
    return doc ? toRecord(doc) : undefined
  }

  /** Without tracebacks: a hundred deployments have megabytes of them. */
  async list(appId: string, page: PageRequest): Promise<DeploymentRecord[]> {
    const docs = await this.#deployments
      .find(
        { appId, ...(page.before === undefined ? {} : { order: { $lt: page.before } }) },
        { projection: { 'failure.traceback': 0, 'events.failure.traceback': 0 } },
      )
      .sort({ order: -1 })
      .limit(page.limit + 1)
      .toArray()
    return docs.map((doc) => withoutTracebacks(toRecord(doc)))
  }

  /**
   * Whether it is the deployment's turn now: of an app's, whichever replica carries them, one runs at a time, the older
   * first. `over`: it has been ended meanwhile, or is gone.
   */
  async begin({ appId, order, deploymentId }: DeploymentRecord): Promise<'begun' | 'not yet' | 'over'> {
    const older = await this.#deployments.findOne(
      { open: true, appId, order: { $lt: order } },
      { projection: { _id: 1 } },
    )
    if (older) return 'not yet'
    try {
      const { matchedCount } = await this.#deployments.updateOne(
        { _id: deploymentId, open: true },
        { $set: { running: true } },
      )
      return matchedCount === 1 ? 'begun' : 'over'
    } catch (error) {
      // A newer one was faster: this one had its number already, but was not stored yet.
      if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return 'not yet'
      throw error
    }
  }

  /** A finished deployment takes no more events: false then. */
  async append(deploymentId: string, event: StageEvent): Promise<boolean> {
    const { stage, failure = null, at } = event
    const { matchedCount } = await this.#deployments.updateOne(
      { _id: deploymentId, open: true },
      {
        $push: { events: event },
        $set: { stage, failure, ...(isFinal(stage) ? { finishedAt: at } : {}) },
        ...(isFinal(stage) ? { $unset: { open: true, running: true } } : {}),
      },
    )
    return matchedCount === 1
  }

  /** Unfinished ones, oldest first; of all apps when none are given. */
  async open(appIds?: readonly string[]): Promise<DeploymentRecord[]> {
    const docs = await this.#deployments
      .find({ open: true, ...(appIds ? { appId: { $in: [...appIds] } } : {}) })
      .sort({ order: 1 })
      .toArray()
    return docs.map(toRecord)
  }

  /** Removes all finished ones but the newest `keep`. */
  async prune(appId: string, keep: number): Promise<void> {
    const newest = await this.#deployments
      .find({ appId }, { projection: { order: 1 } })
      .sort({ order: -1 })
      .skip(keep - 1)
      .limit(1)
      .toArray()
    const oldestKept = newest[0]?.order
    if (oldestKept === undefined) return
    await this.#deployments.deleteMany({ appId, order: { $lt: oldestKept }, finishedAt: { $ne: null } })
  }

  async removeAll(appId: string): Promise<void> {
    await this.#deployments.deleteMany({ appId })
  }
}

function toRecord(doc: DeploymentDoc): DeploymentRecord {
  const { _id, open: _open, running: _running, ...rest } = doc
  return { deploymentId: _id, ...rest }
}

function withoutTracebacks(deployment: DeploymentRecord): DeploymentRecord {
  const { failure, events } = deployment
  return {
    ...deployment,
    failure: failure && { ...failure, traceback: null },
    events: events.map((event) =>
      event.failure ? { ...event, failure: { ...event.failure, traceback: null } } : event,
    ),
  }
}
