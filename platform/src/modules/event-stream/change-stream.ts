import type { Db, Document, Timestamp } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import { ChangeLog, type Position } from './change-log.ts'

/** The names of the collections. Apps and drafts have the app's id. */
export interface Followed {
  readonly apps: string
  readonly drafts: string
  readonly deployments: string
}

/** Follows the changes that any process makes to apps, drafts and deployments. Resolves once the change stream is open. */
export async function followChanges(
  db: Db,
  collections: Followed,
  onError: (error: Error) => void,
): Promise<{ log: ChangeLog } & AsyncDisposable> {
  // Only the ids: who needs the state reads it. Drafts and environments are large.
  const pipeline = [
    { $match: { 'ns.coll': { $in: Object.values(collections) } } },
    { $project: { operationType: 1, ns: 1, documentKey: 1, clusterTime: 1 } },
  ]
  const log = new ChangeLog()
  const following = await follow<Document>({
    async open() {
      const instant = await presentInstant(db)
      const stream = db.watch<Document>(pipeline, { startAtOperationTime: after(instant) })
      log.lost(toPosition(instant))
      return stream
    },
    onChange(change) {
      if (!('documentKey' in change) || !change.clusterTime) return
      const id = String(change.documentKey._id)
      const isDeployment = change.ns.coll === collections.deployments
      log.add(isDeployment ? { deploymentId: id } : { appId: id }, toPosition(change.clusterTime))
    },
    onError,
  })
  return { log, [Symbol.asyncDispose]: () => following[Symbol.asyncDispose]() }
}

function toPosition(time: Timestamp): Position {
  return `${time.getHighBitsUnsigned()}.${time.getLowBitsUnsigned()}`
}
