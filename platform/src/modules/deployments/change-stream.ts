import type { Db } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import type { DeploymentFeed } from './feed.ts'
import { DEPLOYMENTS, type DeploymentDoc } from './store.ts'

/** Keeps only the ids of the deployment and its app. Watchers that need the state read it. */
const PIPELINE = [{ $project: { operationType: 1, documentKey: 1, 'fullDocument.appId': 1 } }]

/** Passes changes of other replicas' deployments to this replica's feed. Resolves once the change stream is open. */
export function followDeployments(
  db: Db,
  feed: DeploymentFeed,
  onError: (error: Error) => void,
): Promise<AsyncDisposable> {
  const deployments = db.collection<DeploymentDoc>(DEPLOYMENTS)
  return follow<DeploymentDoc>({
    async open() {
      const stream = deployments.watch<DeploymentDoc>(PIPELINE, {
        startAtOperationTime: after(await presentInstant(db)),
        fullDocument: 'updateLookup',
      })
      feed.changesLost()
      return stream
    },
    onChange(change) {
      if (!('documentKey' in change)) return
      const appId = 'fullDocument' in change ? change.fullDocument?.appId : undefined
      feed.changed({ deploymentId: change.documentKey._id, ...(appId === undefined ? {} : { appId }) })
    },
    onError,
  })
}
