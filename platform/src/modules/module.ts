import type { Db, MongoClient } from 'mongodb'
import type { Api } from '../api/api.ts'
import type { Leader } from '../coordination/leader.ts'
import type { JobQueue } from '../jobs/queue.ts'
import type { Membership } from '../coordination/membership.ts'
import type { Events } from '../events.ts'
import type { Log } from '../logger.ts'
import type { PasswordHasher } from './users/service.ts'
import type { SessionCookie } from '../plugins/session-cookie.ts'
import type { Runtime, RuntimeCleanup, RuntimeHealth } from '../runtime/runtime.ts'
import type { Targets } from '../runtime/targets.ts'
import type { Gate } from '../gate/gate.ts'
import type { Background } from './background.ts'
import type { Validate } from './validate.ts'

/** What the platform gives to every module. */
export interface ModuleDeps {
  /** The platform's database. */
  readonly db: Db
  /** A client with the right to create MongoDB users. */
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
  /** Bytes in MongoDB's temporary files. Absent where MongoDB is not the platform's own. */
  readonly databaseSpilled?: () => Promise<number>
  /** This process as a member of those that share the database. */
  readonly members: Membership
  /** Runs work that must run in one process only. */
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
  /** The URL of an app. */
  readonly appUrl: (appId: string) => string
  readonly signup: 'open' | 'closed'
  readonly signupsPerHour: number
  /** `host:port` under which apps reach MongoDB, and further options of their URIs. */
  readonly mongoHost: string
  readonly mongoOptions?: Readonly<Record<string, string>>
  /** How large each user's database may be. */
  readonly databaseLimitBytes: number
  readonly storageLimitBytes: number
  readonly defaultIdleTimeoutS: number
  /** Limits for users who are not admins. 0: no limit. */
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

/** A part of the platform with its routes and its service. It is listed in `modules/index.ts`. */
export interface Module<S> {
  readonly name: string
  start(context: ModuleContext): Started<S> | Promise<Started<S>>
}

/** A started module. Everything except the service is optional. */
export interface Started<S> {
  /** What other modules may call. */
  readonly service: S
  /** Hooks for all routes, also for those of the modules before it. */
  hooks?(api: Api): void
  routes?(api: Api): void
  /**
   * Completes what killed processes have left unfinished: once before the platform accepts requests, then every 15 s.
   * Several replicas may do so at once.
   */
  recover?(occasion: 'start' | 'later'): Promise<void>
  /** Starts the module's periodic work. Called once, after `recover`. */
  run?(): void
  close?(): void | Promise<void>
}

export function defineModule<S>(module: Module<S>): Module<S> {
  return module
}
