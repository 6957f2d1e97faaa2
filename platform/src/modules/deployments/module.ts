import { newId } from '../../ids.ts'
import { appRecordsModule } from '../app-records/module.ts'
import { databasesModule } from '../databases/module.ts'
import { draftsModule } from '../drafts/module.ts'
import { defineModule } from '../module.ts'
import { versionsModule } from '../versions/module.ts'
import { followDeployments } from './change-stream.ts'
import { failedToStart } from './failure.ts'
import { createDeploymentFeed } from './feed.ts'
import { registerDeploymentRoutes } from './routes.ts'
import { createDeploymentService } from './service.ts'
import { DeploymentStore } from './store.ts'
import { createSwitch } from './switch.ts'

export const deploymentsModule = defineModule({
  name: 'deployments',
  async start({ db, events, targets, members, validate, background, jobs, now, log, use }) {
    const { apps, live } = use(appRecordsModule)
    const versions = use(versionsModule)
    const store = new DeploymentStore(db)
    await store.createIndexes()
    versions.failuresKnownBy(async (appId, numbers) => failedToStart(await store.ends(appId, numbers)))
    const feed = createDeploymentFeed()
    const following = await followDeployments(db, feed, (error) =>
      log.warn({ err: error }, 'the change stream of the deployments ended; opening it again'),
    )
    const run = createSwitch({
      store,
      feed,
      apps,
      live,
      versions,
      databases: use(databasesModule),
      targets,
      events,
      background,
      log,
      now,
    })
    const deployments = createDeploymentService({
      store,
      feed,
      apps,
      live,
      drafts: use(draftsModule),
      versions,
      validate,
      run,
      members,
      jobs,
      newId: () => newId('d'),
      log,
      now,
    })
    return {
      service: deployments,
      routes: (api) => registerDeploymentRoutes(api, { deployments }),
      recover: () => deployments.recover(),
      async close() {
        await deployments.close()
        await following[Symbol.asyncDispose]()
      },
    }
  },
})
