import { appRecordsModule } from '../app-records/module.ts'
import { appsModule } from '../apps/module.ts'
import { appToWire } from '../apps/wire.ts'
import { deploymentsModule } from '../deployments/module.ts'
import { deploymentToWire } from '../deployments/wire.ts'
import { draftsModule } from '../drafts/module.ts'
import { defineModule } from '../module.ts'
import { followChanges } from './change-stream.ts'
import { registerEventStreamRoutes } from './routes.ts'
import { createEventStreamService } from './service.ts'

/** One stream of events for each person who looks at the console. */
export const eventStreamModule = defineModule({
  name: 'event-stream',
  async start({ db, events, settings, log, use }) {
    const { apps } = use(appRecordsModule)
    const { views } = use(appsModule)
    const deployments = use(deploymentsModule)
    const onError = (error: unknown): void =>
      log.warn({ err: error }, 'an event stream may have missed changes; its clients load everything again')
    const collections = {
      apps: apps.collection,
      drafts: use(draftsModule).collection,
      deployments: deployments.collection,
    }
    const changes = await followChanges(db, collections, onError)
    // A wake begins without a change of the database.
    const forget = events.onAny(({ payload }) => {
      if ('appId' in payload) changes.log.add({ appId: payload.appId })
    })
    const service = createEventStreamService({
      log: changes.log,
      ownerOf: apps.ownerOf,
      appOfDeployment: deployments.appOf,
      apps: async (userId, ids) =>
        (await views.some(userId, ids)).map((view) => appToWire(view, settings.appUrl)),
      deployment: async (appId, id) => {
        const found = await deployments.byId(appId, id)
        return found && deploymentToWire(found)
      },
      onError,
    })
    return {
      service,
      routes: (api) => registerEventStreamRoutes(api, service),
      async close() {
        forget()
        service[Symbol.dispose]()
        await changes[Symbol.asyncDispose]()
      },
    }
  },
})
