import type { ChangeStreamDocument, Db } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import type { Events } from '../../events.ts'
import { APPS, type AppDoc } from './store.ts'

/** Fields of an app that decide where its requests go, and how long it stays awake. */
const ROUTING = /^(?:live|idleTimeoutS)(?:\.|$)/
/** What each change leaves out: environments, which are large, and the whole document. */
const PIPELINE = [{ $unset: ['fullDocument', 'updateDescription.updatedFields.env'] }]

/**
 * Emits the same events for changes that other replicas make to apps as for those of this one. Changes of this replica are
 * emitted twice, which costs one more look-up. Resolves once it listens.
 */
export async function followApps(
  db: Db,
  events: Events,
  onError: (error: Error) => void,
): Promise<AsyncDisposable> {
  const apps = db.collection<AppDoc>(APPS)

  function onChange(change: ChangeStreamDocument<AppDoc>): void {
    if (change.operationType === 'delete') events.emit('app.deleted', { appId: change.documentKey._id })
    if (change.operationType !== 'update') return
    const { _id: appId } = change.documentKey
    const { updatedFields = {} } = change.updateDescription
    if (updatedFields.deletedAt) events.emit('app.deleted', { appId })
    if (updatedFields.sleepAskedAt) events.emit('app.sleepAsked', { appId })
    if (Object.keys(updatedFields).some((name) => ROUTING.test(name))) events.emit('app.routed', { appId })
  }

  return follow<AppDoc>({
    async open() {
      const stream = apps.watch<AppDoc>(PIPELINE, { startAtOperationTime: after(await presentInstant(db)) })
      events.emit('apps.changesLost')
      return stream
    },
    onChange,
    onError,
  })
}
