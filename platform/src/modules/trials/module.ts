import { newId } from '../../ids.ts'
import { databasesModule } from '../databases/module.ts'
import { defineModule } from '../module.ts'
import { sessionKeyPurpose } from '../specs/spec.ts'
import { registerTrialRoutes } from './routes.ts'
import { createTrialService } from './service.ts'

export const trialsModule = defineModule({
  name: 'trials',
  start({ validate, runtime, secretKey, background, now, use }) {
    const trials = createTrialService({
      validate,
      specs: {
        databases: use(databasesModule),
        secretKey,
        sessionKeyPurpose: sessionKeyPurpose(runtime.capabilities),
      },
      runtime: runtime.trial,
      cleanup: runtime.cleanup,
      background,
      newId,
    })
    return { service: trials, routes: (api) => registerTrialRoutes(api, { trials, now }) }
  },
})
