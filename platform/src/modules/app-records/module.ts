import { createAppChanges } from '../../app-changes.ts'
import { newId } from '../../ids.ts'
import { defineModule } from '../module.ts'
import { createSecretBox } from '../secrets/box.ts'
import { createEnvVars } from '../secrets/env-vars.ts'
import { usersModule } from '../users/module.ts'
import { followApps } from './change-stream.ts'
import { createLiveService } from './live-service.ts'
import { LiveStore } from './live-store.ts'
import { checkOwnership } from './ownership.ts'
import { createAppService } from './service.ts'
import { AppStore } from './store.ts'

export const appRecordsModule = defineModule({
  name: 'app-records',
  async start({ db, events, targets, forgetRoute, runtime, settings, secretKey, background, now, log, use }) {
    const store = new AppStore(db)
    const liveStore = new LiveStore(db)
    await store.createIndexes()
    const changes = createAppChanges()
    const following = await followApps(db, changes, (error) =>
      log.warn({ err: error }, 'the change stream of the apps ended; opening it again'),
    )
    const { isAdmin } = use(usersModule)
    const apps = createAppService({
      store,
      liveStore,
      changes,
      forgetRoute,
      envVars: createEnvVars(createSecretBox(secretKey)),
      events,
      targets,
      storageProblem: () => runtime.health.storageProblem(),
      storageApps: async (ownerId) => ((await isAdmin(ownerId)) ? 0 : settings.quotas.storageApps),
      background,
      defaultIdleTimeoutS: settings.defaultIdleTimeoutS,
      newId,
      now,
    })
    const live = createLiveService({ liveStore, forgetRoute, now })
    return {
      service: { apps, live, changes },
      hooks: (api) => checkOwnership(api, apps),
      async close() {
        await following[Symbol.asyncDispose]()
      },
    }
  },
})
