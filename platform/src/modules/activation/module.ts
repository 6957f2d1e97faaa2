import { appRecordsModule } from '../app-records/module.ts'
import { appsModule } from '../apps/module.ts'
import { defineModule } from '../module.ts'
import { registerActivationRoutes } from './routes.ts'
import { createActivationService } from './service.ts'

export const activationModule = defineModule({
  name: 'activation',
  start({ targets, runtime, settings, use }) {
    const activation = createActivationService({
      ...use(appRecordsModule),
      targets,
      runtime,
    })
    return {
      service: activation,
      routes: (api) =>
        registerActivationRoutes(api, {
          activation,
          views: use(appsModule).views,
          appUrl: settings.appUrl,
        }),
    }
  },
})
