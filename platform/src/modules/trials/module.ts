import { newId } from '../../ids.ts'
import { defineModule } from '../module.ts'
import { specsModule } from '../specs/module.ts'
import { registerTrialRoutes } from './routes.ts'
import { createTrialService } from './service.ts'

export const trialsModule = defineModule({
  name: 'trials',
  start({ validate, runtime, background, now, use }) {
    const trials = createTrialService({
      validate,
      specs: use(specsModule),
      runtime: runtime.trial,
      cleanup: runtime.cleanup,
      background,
      newId,
    })
    return { service: trials, routes: (api) => registerTrialRoutes(api, { trials, now }) }
  },
})
