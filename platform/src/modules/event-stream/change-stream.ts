import type { Db, Document, Timestamp } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import { APPS } from '../app-records/store.ts'
import { DEPLOYMENTS } from '../deployments/store.ts'
import { DRAFTS } from '../drafts/store.ts'
import { ChangeLog, type Position } from './change-log.ts'

/** Only the ids: who needs the state reads it. Drafts and environments are large. */
const PIPELINE = [
  { $match: { 'ns.coll': { $in: [APPS, DRAFTS, DEPLOYMENTS] } } },
  { $project: { operationType: 1, ns: 1, documentKey: 1, clusterTime: 1 } },
]

/** Follows the changes that any process makes to apps, drafts and deployments. Resolves once the change stream is open. */
export async function followChanges(
  db: Db,
  onError: (error: Error) => void,
): Promise<{ log: ChangeLog } & AsyncDisposable> {
  const log = new ChangeLog(toPosition(await presentInstant(db)))
  const following = await follow<Document>({
    async open() {
      const instant = await presentInstant(db)
      const stream = db.watch<Document>(PIPELINE, { startAtOperationTime: after(instant) })
      log.lost(toPosition(instant))
      return stream
    },
    onChange(change) {
      if (!('documentKey' in change) || !change.clusterTime) return
      const id = String(change.documentKey._id)
      const isDeployment = change.ns.coll === DEPLOYMENTS
      log.add(isDeployment ? { deploymentId: id } : { appId: id }, toPosition(change.clusterTime))
    },
    onError,
  })
  return { log, [Symbol.asyncDispose]: () => following[Symbol.asyncDispose]() }
}

function toPosition(time: Timestamp): Position {
  return `${time.getHighBitsUnsigned()}.${time.getLowBitsUnsigned()}`
}
