import { appRecordsModule } from '../app-records/module.ts'
import { assetsModule } from '../assets/module.ts'
import { deploymentsModule } from '../deployments/module.ts'
import { draftsModule } from '../drafts/module.ts'
import { defineModule } from '../module.ts'
import { templatesModule } from '../templates/module.ts'
import { createLifecycle } from './lifecycle.ts'
import { registerAppRoutes } from './routes.ts'
import { createViews } from './views.ts'

/** A deletion that is older than this, in ms, was interrupted: a retired target may not go on answering for so long. */
const RECOVER_DELETIONS_AFTER = 5 * 60_000

export const appsModule = defineModule({
  name: 'apps',
  start({ targets, runtime, settings, background, use }) {
    const { apps } = use(appRecordsModule)
    const drafts = use(draftsModule)
    const deployments = use(deploymentsModule)
    const { appUrl, storageLimitBytes } = settings
    const views = createViews({ apps, drafts, deployments, targets, storageLimitBytes })
    const lifecycle = createLifecycle({
      apps,
      drafts,
      assets: use(assetsModule),
      deployments,
      templates: use(templatesModule),
      targets,
      cleanup: runtime.cleanup,
      background,
    })
    return {
      service: { views, lifecycle },
      routes: (api) => registerAppRoutes(api, { apps, views, lifecycle, appUrl }),
      recover: (occasion) =>
        lifecycle.recover({ idleFor: occasion === 'start' ? 0 : RECOVER_DELETIONS_AFTER }),
    }
  },
})
