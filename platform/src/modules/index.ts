import { activationModule } from './activation/module.ts'
import { appRecordsModule } from './app-records/module.ts'
import { appsModule } from './apps/module.ts'
import { assetsModule } from './assets/module.ts'
import { attemptsModule } from './attempts/module.ts'
import { callsModule } from './calls/module.ts'
import { databasesModule } from './databases/module.ts'
import { deploymentsModule } from './deployments/module.ts'
import { draftsModule } from './drafts/module.ts'
import { eventStreamModule } from './event-stream/module.ts'
import { logsModule } from './logs/module.ts'
import type { Module } from './module.ts'
import { quotasModule } from './quotas/module.ts'
import { templatesModule } from './templates/module.ts'
import { trialsModule } from './trials/module.ts'
import { usersModule } from './users/module.ts'
import { versionsModule } from './versions/module.ts'

/** All modules in the order in which they start: each may use those before it. A new module is one line here. */
export const MODULES: readonly Module<unknown>[] = [
  attemptsModule,
  usersModule,
  databasesModule,
  assetsModule,
  appRecordsModule,
  quotasModule,
  draftsModule,
  versionsModule,
  templatesModule,
  deploymentsModule,
  appsModule,
  eventStreamModule,
  activationModule,
  callsModule,
  logsModule,
  trialsModule,
]
