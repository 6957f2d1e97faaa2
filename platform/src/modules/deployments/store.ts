import type { Collection, Db } from 'mongodb'
import type { PageRequest } from '../paging.ts'
import { isFinal, type DeploymentEnd, type DeploymentRecord, type StageEvent } from './types.ts'

export type DeploymentDoc = Omit<DeploymentRecord, 'deploymentId'> & {
  readonly _id: string
  /** Set only while the deployment is unfinished, so that the index holds nothing else. */
  readonly open?: true
  /** Set by the previous fp version while it runs the deployment. */
  readonly running?: true
}

export const DEPLOYMENTS = 'deployments'

export class DeploymentStore {
  readonly #deployments: Collection<DeploymentDoc>

  constructor(db: Db) {
    this.#deployments = db.collection(DEPLOYMENTS)
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

  async appOf(deploymentId: string): Promise<string | undefined> {
    const doc = await this.#deployments.findOne({ _id: deploymentId }, { projection: { appId: 1 } })
    return doc?.appId
  }

  /** Leaves tracebacks out: those of a hundred deployments are megabytes. */
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

  /** How the deployments of these versions that have ended did so. */
  async ends(appId: string, versions: readonly number[]): Promise<DeploymentEnd[]> {
    const docs = await this.#deployments
      .find({ appId, version: { $in: [...versions] }, stage: { $in: ['ready', 'failed'] } })
      .project<{ version: number; failure: { code: string } | null }>({ version: 1, 'failure.code': 1 })
      .toArray()
    return docs.map(({ version, failure }) => ({ version, failure: failure?.code ?? null }))
  }

  /** False when the deployment has ended: it then takes no more events. */
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

  /** Unfinished deployments, oldest first; of all apps when none are given. */
  async open(appIds?: readonly string[]): Promise<DeploymentRecord[]> {
    const docs = await this.#deployments
      .find({ open: true, ...(appIds ? { appId: { $in: [...appIds] } } : {}) })
      .sort({ order: 1 })
      .toArray()
    return docs.map(toRecord)
  }

  /** Removes all finished deployments except those among the newest `keep`. */
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

  async remove(deploymentId: string): Promise<void> {
    await this.#deployments.deleteOne({ _id: deploymentId })
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
