import type { Db } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import type { DeploymentFeed } from './feed.ts'
import { DEPLOYMENTS, type DeploymentDoc } from './store.ts'

/** Which deployment, of which app: what has become of it is read by whoever wants to know. */
const NEWS = [{ $project: { operationType: 1, documentKey: 1, 'fullDocument.appId': 1 } }]

/** What other replicas' deployments come to reaches the feed of this one. Resolves once it listens. */
export function followDeployments(
  db: Db,
  feed: DeploymentFeed,
  onError: (error: Error) => void,
): Promise<AsyncDisposable> {
  const deployments = db.collection<DeploymentDoc>(DEPLOYMENTS)
  return follow<DeploymentDoc>({
    async open() {
      const stream = deployments.watch<DeploymentDoc>(NEWS, {
        startAtOperationTime: after(await presentInstant(db)),
        fullDocument: 'updateLookup',
      })
      feed.missed()
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
