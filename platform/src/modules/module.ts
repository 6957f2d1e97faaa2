import type { Db, MongoClient } from 'mongodb'
import type { Api } from '../api/api.ts'
import type { Leader } from '../coordination/leader.ts'
import type { JobQueue } from '../jobs/queue.ts'
import type { Membership } from '../coordination/membership.ts'
import type { Events } from '../events.ts'
import type { PasswordHasher } from './users/service.ts'
import type { SessionCookie } from '../plugins/session-cookie.ts'
import type { Runtime, RuntimeCleanup, RuntimeHealth } from '../runtime/runtime.ts'
import type { Targets } from '../runtime/targets.ts'
import type { Gate } from '../gate/gate.ts'
import type { Background, Log } from './background.ts'
import type { Validate } from './validate.ts'

/** What the platform gives to every module. */
export interface ModuleDeps {
  /** The platform's database. */
  readonly db: Db
  /** With the right to make users of MongoDB. */
  readonly client: MongoClient
  readonly events: Events
  readonly validate: Validate
  readonly passwords: PasswordHasher
  readonly targets: Targets
  /** The gate looks the app up anew at its next request. */
  readonly forgetRoute: (appId: string) => Promise<void>
  readonly runtime: Pick<Runtime, 'capabilities' | 'logs' | 'trial'> & {
    readonly cleanup: Pick<RuntimeCleanup, 'removeApp'>
    readonly health: Pick<RuntimeHealth, 'storageProblem'>
  }
  /** Bytes in MongoDB's temporary files, where MongoDB is the platform's own. */
  readonly databaseSpilled?: () => Promise<number>
  /** This process among those that share the database. */
  readonly members: Membership
  /** Runs what must run at one process only. */
  readonly leader: Leader
  readonly call: Gate['call']
  readonly sessionCookie: SessionCookie
  readonly settings: ModuleSettings
  /** 32 bytes; seals passwords and environment variables at rest. */
  readonly secretKey: Buffer
  readonly log: Log
  readonly now?: () => Date
}

export interface ModuleSettings {
  /** Where an app answers. */
  readonly appUrl: (appId: string) => string
  readonly signup: 'open' | 'closed'
  readonly signupsPerHour: number
  /** `host:port` under which apps reach MongoDB, and more options of their URIs. */
  readonly mongoHost: string
  readonly mongoOptions?: Readonly<Record<string, string>>
  /** What each user's database may take. */
  readonly databaseLimitBytes: number
  readonly storageLimitBytes: number
  readonly defaultIdleTimeoutS: number
  /** What a user may have who is no admin. 0: no limit. */
  readonly quotas: { readonly apps: number; readonly deploysPerHour: number; readonly storageApps: number }
  readonly examplesDir: string
}

export interface ModuleContext extends ModuleDeps {
  readonly now: () => Date
  /** Work that outlives the request that began it. */
  readonly background: Background
  /** Work that outlives the process that began it. */
  readonly jobs: JobQueue
  /** The service of a module that stands before this one in the list; throws for any other. */
  use<S>(module: Module<S>): S
}

/** How a module enters the platform: one line in `modules/index.ts`. */
export interface Module<S> {
  readonly name: string
  start(context: ModuleContext): Started<S> | Promise<Started<S>>
}

/** A module that runs. All but the service is optional. */
export interface Started<S> {
  /** What other modules may call. */
  readonly service: S
  /** Hooks that all routes get, those of the modules before it too. */
  hooks?(api: Api): void
  routes?(api: Api): void
  /**
   * Completes what processes that were killed have left unfinished: once before the platform takes requests, then every 15 s.
   * Several replicas may do so at once.
   */
  recover?(occasion: 'start' | 'later'): Promise<void>
  /** Begins what the module does of its own accord, once, after `recover`. */
  run?(): void
  close?(): void | Promise<void>
}

export function defineModule<S>(module: Module<S>): Module<S> {
  return module
}
