import { appRecordsModule } from '../app-records/module.ts'
import { defineModule } from '../module.ts'
import { registerCallRoutes } from './routes.ts'
import { createCallService } from './service.ts'

export const callsModule = defineModule({
  name: 'calls',
  start({ call, settings, use }) {
    const calls = createCallService({ apps: use(appRecordsModule).apps, call, appUrl: settings.appUrl })
    return { service: calls, routes: (api) => registerCallRoutes(api, { calls }) }
  },
})
