import { appRecordsModule } from '../app-records/module.ts'
import { defineModule } from '../module.ts'
import { registerLogRoutes } from './routes.ts'
import { createLogService } from './service.ts'

export const logsModule = defineModule({
  name: 'logs',
  start({ runtime, events, background, use }) {
    const logs = createLogService({ apps: use(appRecordsModule).apps, runtime, events, background })
    return { service: logs, routes: (api) => registerLogRoutes(api, { logs }), close: () => logs.close() }
  },
})
