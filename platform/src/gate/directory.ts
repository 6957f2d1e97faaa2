import type { AppChanges } from '../app-changes.ts'
import type { Events } from '../events.ts'
import type { Log } from '../logger.ts'
import { createDirectory, recordTargets, type Directory } from '../modules/app-records/directory.ts'
import { followApps } from '../modules/app-records/change-stream.ts'
import { LiveStore } from '../modules/app-records/live-store.ts'
import { AppStore } from '../modules/app-records/store.ts'
import { createAssetService } from '../modules/assets/service.ts'
import { BlobStore } from '../modules/assets/store.ts'
import { Background } from '../modules/background.ts'
import { createDatabaseService } from '../modules/databases/service.ts'
import { DatabaseStore } from '../modules/databases/store.ts'
import { createSecretBox } from '../modules/secrets/box.ts'
import { createEnvVars } from '../modules/secrets/env-vars.ts'
import { createSpecs } from '../modules/specs/service.ts'
import { sessionKeyPurpose } from '../modules/specs/spec.ts'
import { UserStore } from '../modules/users/store.ts'
import { loadVersion } from '../modules/versions/load.ts'
import { VersionStore } from '../modules/versions/store.ts'
import type { Mongo } from '../plugins/mongo.ts'
import type { AppSpec, RuntimeCapabilities } from '../runtime/runtime.ts'
import type { TargetKey } from '@fp/scaler'

export interface GateDirectory extends Directory, AsyncDisposable {
  specOf(key: TargetKey): Promise<AppSpec>
  isAdmin(userId: string): Promise<boolean>
  /** Replaces secrets that apps of earlier fp versions could have read. Call it before any app runs. */
  replaceOldSecrets(): Promise<void>
}

export interface GateDirectoryDeps {
  readonly mongo: Mongo
  readonly events: Events
  readonly changes: AppChanges
  readonly capabilities: RuntimeCapabilities
  readonly appDatabases: { readonly host: string; readonly options: Readonly<Record<string, string>> }
  readonly databaseLimitBytes: number
  readonly secretKey: Buffer
  readonly log: Log
}

/**
 * What the gate reads from MongoDB, so that apps are served, woken and put to sleep while no API runs: where requests go, and
 * what is needed to start an app. It writes only when targets wake, sleep and fail, and the users and passwords of databases.
 */
export async function openDirectory(deps: GateDirectoryDeps): Promise<GateDirectory> {
  const { mongo, events, changes, log } = deps
  const { db, client } = mongo
  const now = (): Date => new Date()
  const background = new Background(log)
  const store = new AppStore(db)
  const liveStore = new LiveStore(db)
  const versions = new VersionStore(db)
  const users = new UserStore(db)
  const box = createSecretBox(deps.secretKey)
  const databases = createDatabaseService({
    store: new DatabaseStore(db, client),
    box,
    now,
    limitBytes: deps.databaseLimitBytes,
    mongoHost: deps.appDatabases.host,
    mongoOptions: deps.appDatabases.options,
  })
  const specOf = createSpecs({
    apps: store,
    envVars: createEnvVars(box),
    versions: { load: (appId, version) => loadVersion(versions, appId, version) },
    databases,
    assets: createAssetService({ store: new BlobStore(db), now }),
    secretKey: deps.secretKey,
    sessionKeyPurpose: sessionKeyPurpose(deps.capabilities),
  })
  const following = await followApps(db, changes, (error) =>
    log.warn({ err: error }, 'the change stream of the apps ended; opening it again'),
  )
  const recording = recordTargets({ liveStore, events, background, now })

  return {
    ...createDirectory({ store, liveStore, now }),
    specOf,
    isAdmin: async (userId) => (await users.get(userId))?.role === 'admin',
    async replaceOldSecrets() {
      if (!deps.capabilities.mustReplaceOldSecrets) return
      const replaced = await databases.replaceOldPasswords()
      if (replaced > 0)
        log.warn(
          { databases: replaced },
          'database passwords and session keys from before this version were replaced: apps could read those of others (see docs/threat-model.md, "After an upgrade")',
        )
    },
    async [Symbol.asyncDispose]() {
      recording[Symbol.dispose]()
      await following[Symbol.asyncDispose]()
      await background.settled()
    },
  }
}
