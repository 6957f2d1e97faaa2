import type { ChangeStreamDocument, Db } from 'mongodb'
import { after, follow, presentInstant } from '../../coordination/follow.ts'
import type { Events } from '../../events.ts'
import { APPS, type AppDoc } from './store.ts'

/** Fields of an app that decide where its requests go, and how long it stays awake. */
const ROUTING = /^(?:live|idleTimeoutS)(?:\.|$)/
/** Notes on how apps fare change often and are no news; environments are large. */
const NEWS = [{ $unset: ['fullDocument', 'updateDescription.updatedFields.env'] }]

/**
 * What other replicas do to apps becomes the same events as what this one does; of its own it tells a second time, which
 * costs a lookup and nothing else. Resolves once it listens.
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
      const stream = apps.watch<AppDoc>(NEWS, { startAtOperationTime: after(await presentInstant(db)) })
      events.emit('apps.missed')
      return stream
    },
    onChange,
    onError,
  })
}
