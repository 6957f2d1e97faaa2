import { appRecordsModule } from '../app-records/module.ts'
import { attemptsModule } from '../attempts/module.ts'
import { defineModule } from '../module.ts'
import { registerQuotas } from './hook.ts'

export const quotasModule = defineModule({
  name: 'quotas',
  start({ settings, now, use }) {
    const { apps } = use(appRecordsModule)
    const attempts = use(attemptsModule)
    return {
      service: undefined,
      hooks: (api) =>
        registerQuotas(api, {
          limits: settings.quotas,
          countApps: apps.count,
          countDeploy: (userId, window) => attempts.count(`deploy:user:${userId}`, window),
          now,
        }),
    }
  },
})
