import { appRecordsModule } from '../app-records/module.ts'
import { assetsModule } from '../assets/module.ts'
import { databasesModule } from '../databases/module.ts'
import { defineModule } from '../module.ts'
import { versionsModule } from '../versions/module.ts'
import { createSpecs } from './service.ts'

export const specsModule = defineModule({
  name: 'specs',
  start: ({ runtime, secretKey, use }) => ({
    service: createSpecs({
      apps: use(appRecordsModule).apps,
      versions: use(versionsModule),
      databases: use(databasesModule),
      assets: use(assetsModule),
      secretKey,
      // Where apps shared memory before, their session keys are replaced together with the passwords of databases.
      sessionKeyPurpose: runtime.capabilities.appsSharedMemoryOnce ? 'session 1' : 'session',
    }),
  }),
})
