import type { Collection, Db } from 'mongodb'
import type { PageRequest } from '../paging.ts'
import { isFinal, type DeploymentRecord, type StageEvent } from './types.ts'

type DeploymentDoc = Omit<DeploymentRecord, 'deploymentId'> & {
  readonly _id: string
  /** Only while it is unfinished, so that the index holds nothing else. */
  readonly open?: true
}

export class DeploymentStore {
  readonly #deployments: Collection<DeploymentDoc>

  constructor(db: Db) {
    this.#deployments = db.collection('deployments')
  }

  async createIndexes(): Promise<void> {
    await this.#deployments.createIndex({ appId: 1, order: -1 })
    await this.#deployments.createIndex({ open: 1, appId: 1 }, { partialFilterExpression: { open: true } })
  }

  async insert(deployment: DeploymentRecord): Promise<void> {
    const { deploymentId, ...rest } = deployment
    await this.#deployments.insertOne({ _id: deploymentId, ...rest, open: true })
  }

  async find(appId: string, deploymentId: string): Promise<DeploymentRecord | undefined> {
    const doc = await this.#deployments.findOne({ _id: deploymentId, appId })
    return doc ? toRecord(doc) : undefined
  }

  async list(appId: string, page: PageRequest): Promise<DeploymentRecord[]> {
    const docs = await this.#deployments
      .find({ appId, ...(page.before === undefined ? {} : { order: { $lt: page.before } }) })
      .sort({ order: -1 })
      .limit(page.limit + 1)
      .toArray()
    return docs.map(toRecord)
  }

  /** A finished deployment takes no more events. */
  async append(deploymentId: string, event: StageEvent): Promise<void> {
    const { stage, failure = null, at } = event
    await this.#deployments.updateOne(
      { _id: deploymentId, open: true },
      {
        $push: { events: event },
        $set: { stage, failure, ...(isFinal(stage) ? { finishedAt: at } : {}) },
        ...(isFinal(stage) ? { $unset: { open: true } } : {}),
      },
    )
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
  const { _id, open: _open, ...rest } = doc
  return { deploymentId: _id, ...rest }
}
