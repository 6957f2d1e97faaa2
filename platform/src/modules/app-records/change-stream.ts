import type { ChangeStreamDocument, Db } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import type { AppChanges } from '../../app-changes.ts'
import { APPS, type AppDoc } from './store.ts'

/** Fields of an app that decide where its requests go, and how long it stays awake. */
const ROUTING = /^(?:live|idleTimeoutS)(?:\.|$)/
/** Leaves environments, which are large, and the whole document out of each change. */
const PIPELINE = [{ $unset: ['fullDocument', 'updateDescription.updatedFields.env'] }]

/**
 * Emits the changes that any process makes to apps. Changes by this process may be emitted twice, which costs one more
 * look-up. Resolves once the change stream is open.
 */
export async function followApps(
  db: Db,
  changes: AppChanges,
  onError: (error: Error) => void,
): Promise<AsyncDisposable> {
  const apps = db.collection<AppDoc>(APPS)

  function onChange(change: ChangeStreamDocument<AppDoc>): void {
    if (change.operationType === 'delete') changes.emit('deleted', { appId: change.documentKey._id })
    if (change.operationType !== 'update') return
    const { _id: appId } = change.documentKey
    const { updatedFields = {} } = change.updateDescription
    if (updatedFields.deletedAt) changes.emit('deleted', { appId })
    if (updatedFields.sleepAskedAt) changes.emit('sleepAsked', { appId })
    if (Object.keys(updatedFields).some((name) => ROUTING.test(name))) changes.emit('routed', { appId })
  }

  return follow<AppDoc>({
    async open() {
      const stream = apps.watch<AppDoc>(PIPELINE, { startAtOperationTime: after(await presentInstant(db)) })
      changes.emit('lost')
      return stream
    },
    onChange,
    onError,
  })
}
