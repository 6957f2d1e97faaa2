import { appRecordsModule } from '../app-records/module.ts'
import { appsModule } from '../apps/module.ts'
import { defineModule } from '../module.ts'
import { registerActivationRoutes } from './routes.ts'
import { createActivationService } from './service.ts'

export const activationModule = defineModule({
  name: 'activation',
  start({ events, targets, runtime, settings, background, use }) {
    const activation = createActivationService({
      ...use(appRecordsModule),
      targets,
      runtime,
      events,
      background,
    })
    return {
      service: activation,
      routes: (api) =>
        registerActivationRoutes(api, {
          activation,
          views: use(appsModule).views,
          appUrl: settings.appUrl,
        }),
      close: () => activation.close(),
    }
  },
})
