import { setTimeout as delay } from 'node:timers/promises'
import type { TargetKey } from '@fp/scaler'
import type { Db, MongoClient } from 'mongodb'
import type { Api } from '../api.ts'
import type { Replicas } from '../coordination/replicas.ts'
import type { Events } from '../events.ts'
import { newId } from '../ids.ts'
import { repeat, type Repetition } from '../repeat.ts'
import type { AppSpec, Runtime, RuntimeHealth } from '../runtime/runtime.ts'
import type { Targets } from '../runtime/targets.ts'
import { createLiveService, type LiveService, type Route } from './apps/live-service.ts'
import { LiveStore } from './apps/live-store.ts'
import { checkOwnership } from './apps/ownership.ts'
import { registerPowerRoutes } from './apps/power-routes.ts'
import { followApps } from './apps/change-stream.ts'
import { registerAppRoutes, type AppRoutesDeps } from './apps/routes.ts'
import { createAppService } from './apps/service.ts'
import { AppStore } from './apps/store.ts'
import type { BlobId } from './assets/asset.ts'
import { createAssetService } from './assets/service.ts'
import { BlobStore } from './assets/store.ts'
import { Background, type Log } from './background.ts'
import { createDatabaseService } from './databases/service.ts'
import { createMeter } from './databases/meter.ts'
import { registerDatabaseRoutes, type DatabaseRoutesDeps } from './databases/routes.ts'
import { HARM_BOUNDS } from './databases/harm.ts'
import { DatabaseStore } from './databases/store.ts'
import { fullText, roomText } from './databases/usage.ts'
import { createWatcher } from './databases/watcher.ts'
import { createDeploymentFeed } from './deployments/feed.ts'
import { followDeployments } from './deployments/change-stream.ts'
import { createLifecycle } from './deployments/lifecycle.ts'
import { createPower, type CallApp } from './deployments/power.ts'
import { registerDeploymentRoutes } from './deployments/routes.ts'
import { createDeploymentService, type DeploymentService, type Validate } from './deployments/service.ts'
import { createSpecs } from './deployments/spec.ts'
import { DeploymentStore } from './deployments/store.ts'
import { createSwitch } from './deployments/switch.ts'
import { registerTrialRoutes } from './deployments/trial-routes.ts'
import { createTrial, type Trial } from './deployments/trial.ts'
import { createViews } from './deployments/views.ts'
import { registerDraftRoutes } from './drafts/routes.ts'
import { createDraftService, type DraftService } from './drafts/service.ts'
import { registerAssetRoutes } from './drafts/asset-routes.ts'
import { createDraftAssetService, type DraftAssetService } from './drafts/asset-service.ts'
import { DraftStore } from './drafts/store.ts'
import { createSecretBox } from './secrets/box.ts'
import { createEnvVars } from './secrets/env-vars.ts'
import { loadTemplates } from './templates/load.ts'
import { registerTemplateRoutes } from './templates/routes.ts'
import { createAttemptStore } from './users/attempt-store.ts'
import { registerQuotas, type QuotaDeps, type QuotaLimits } from './quotas.ts'
import { createTemplateService, type TemplateService } from './templates/service.ts'
import { registerVersionRoutes } from './versions/routes.ts'
import { createVersionService, type VersionService } from './versions/service.ts'
import { VersionStore } from './versions/store.ts'

/** What goes on in the background at the end (a retired target that still answers) is not waited for longer. ms */
const CLOSE_PATIENCE = 1_000

/** How often it is looked for what dead replicas have left. ms */
const RECOVERY_INTERVAL = 15_000
/** A deletion that has not ended by then was cut off: longer than a retired target may go on answering. ms */
const RECOVER_DELETIONS_AFTER = 5 * 60_000

/** A user's newest apps, whose logs say that the database is full. */
const NOTED_APPS = 100

export interface ModuleDeps {
  /** The platform's database. */
  readonly db: Db
  /** With the right to make users. */
  readonly client: MongoClient
  readonly events: Events
  readonly validate: Validate
  readonly targets: Targets
  readonly runtime: Pick<Runtime, 'capabilities' | 'logs' | 'trial' | 'cleanup'> & {
    readonly health: Pick<RuntimeHealth, 'storageProblem'>
  }
  /** Bytes in MongoDB's temporary files, where it is the platform's own. */
  readonly databaseSpilled?: () => Promise<number>
  /** This process among those that share the database. */
  readonly replicas: Replicas
  readonly call: CallApp
  /** Admins are free of quotas. */
  readonly isAdmin: (userId: string) => Promise<boolean>
  readonly config: {
    /** Where an app answers. */
    readonly appUrl: (appId: string) => string
    /** `host:port` under which apps reach MongoDB, and more options of their URIs. */
    readonly mongoHost: string
    readonly mongoOptions?: Readonly<Record<string, string>>
    /** What each user's database may take. */
    readonly databaseLimitBytes: number
    readonly storageLimitBytes: number
    readonly defaultIdleTimeoutS: number
    readonly quotas: QuotaLimits & { readonly storageApps: number }
    readonly examplesDir: string
  }
  /** 32 bytes; seals passwords and environment variables at rest. */
  readonly secretKey: Buffer
  readonly log: Log
  readonly now?: () => Date
}

export interface Services extends Omit<AppRoutesDeps, 'apps'>, DatabaseRoutesDeps {
  readonly apps: ReturnType<typeof createAppService>
  readonly live: LiveService
  readonly power: ReturnType<typeof createPower>
  readonly drafts: DraftService
  readonly draftAssets: DraftAssetService
  readonly versions: VersionService
  readonly deployments: DeploymentService
  readonly templates: TemplateService
  readonly trial: Trial
  readonly quotas: QuotaDeps
  readonly now: () => Date
  /** Undefined: no such app. */
  route(appId: string): Promise<Route | undefined>
  /** What serves the apps, of those that have something live. */
  liveTargets(): Promise<TargetKey[]>
  /** Everything that starting a target takes, secrets included. */
  specOf(key: TargetKey): Promise<AppSpec>
  /** Once, before requests are taken: ends what killed replicas left unfinished, and goes on looking for such. */
  recover(): Promise<void>
  /** Deletes the contents of assets that nothing refers to any more; `recover` has it done now and then. */
  sweepAssets(): Promise<void>
  /** Takes no more deployments; those under way fail with a plain reason. Call it while `targets` still answers. */
  close(): Promise<void>
}

/** Wires the modules, lowest first. Makes the indexes and reads the examples. */
export async function createServices(deps: ModuleDeps): Promise<Services> {
  const { db, events, targets, runtime, config, log, validate } = deps
  const now = deps.now ?? (() => new Date())
  const background = new Background(log)
  const attempts = createAttemptStore(db)
  const box = createSecretBox(deps.secretKey)
  const stores = {
    databases: new DatabaseStore(db, deps.client),
    apps: new AppStore(db),
    live: new LiveStore(db),
    blobs: new BlobStore(db),
    drafts: new DraftStore(db),
    versions: new VersionStore(db),
    deployments: new DeploymentStore(db),
  }
  const [loaded] = await Promise.all([
    loadTemplates(config.examplesDir, log),
    stores.apps.createIndexes(),
    stores.blobs.createIndexes(),
    stores.drafts.createIndexes(),
    stores.versions.createIndexes(),
    stores.deployments.createIndexes(),
  ])
  const templates = createTemplateService(loaded)
  const feed = createDeploymentFeed()
  const brokeOff = (error: Error): void =>
    log.warn({ err: error }, 'the change streams of other replicas ended; opening them again')
  await using news = new AsyncDisposableStack()
  news.use(await followApps(db, events, brokeOff))
  news.use(await followDeployments(db, feed, brokeOff))

  const databases = createDatabaseService({
    store: stores.databases,
    box,
    now,
    limitBytes: config.databaseLimitBytes,
    mongoHost: config.mongoHost,
    ...(config.mongoOptions && { mongoOptions: config.mongoOptions }),
  })
  const apps = createAppService({
    store: stores.apps,
    liveStore: stores.live,
    envVars: createEnvVars(box),
    events,
    targets,
    storageProblem: () => runtime.health.storageProblem(),
    storageApps: async (ownerId) => ((await deps.isAdmin(ownerId)) ? 0 : config.quotas.storageApps),
    background,
    defaultIdleTimeoutS: config.defaultIdleTimeoutS,
    newId,
    now,
  })
  const live = createLiveService({ store: stores.apps, liveStore: stores.live, events, background, now })
  const assets = createAssetService({
    store: stores.blobs,
    async referenced(blobs: readonly BlobId[]) {
      const [inDrafts, inVersions] = await Promise.all([
        stores.drafts.referenced(blobs),
        stores.versions.referenced(blobs),
      ])
      return new Set([...inDrafts, ...inVersions])
    },
    now,
  })
  const drafts = createDraftService({ store: stores.drafts, apps, assets, now })
  const draftAssets = createDraftAssetService({ store: stores.drafts, apps, assets, now })
  const versions = createVersionService({ store: stores.versions, apps, assets, now })

  const run = createSwitch({
    store: stores.deployments,
    feed,
    apps,
    live,
    versions,
    databases,
    targets,
    events,
    background,
    log,
    now,
  })
  const deployments = createDeploymentService({
    store: stores.deployments,
    feed,
    apps,
    live,
    drafts,
    versions,
    validate,
    run,
    replicas: deps.replicas,
    events,
    newId: () => newId('d'),
    log,
    now,
  })
  const specs = createSpecs({
    apps,
    versions,
    databases,
    assets,
    secretKey: deps.secretKey,
    // Where apps shared memory before, their session keys are replaced together with the passwords of databases.
    sessionKeyPurpose: runtime.capabilities.appsSharedMemoryOnce ? 'session 1' : 'session',
  })
  const views = createViews({
    apps,
    drafts,
    deployments,
    targets,
    storageLimitBytes: config.storageLimitBytes,
  })
  const lifecycle = createLifecycle({
    apps,
    drafts,
    assets,
    deployments,
    starters: templates,
    targets,
    cleanup: runtime.cleanup,
    background,
  })
  const power = createPower({
    apps,
    live,
    targets,
    runtime,
    events,
    background,
    call: deps.call,
    appUrl: config.appUrl,
  })
  const trial = createTrial({
    validate,
    specs,
    runtime: runtime.trial,
    cleanup: runtime.cleanup,
    background,
    newId,
  })

  const meter = createMeter({
    databases: stores.databases,
    holder: deps.replicas.id,
    limitBytes: config.databaseLimitBytes,
    onChange: (userId, full, usage) =>
      tellApps(userId, full ? fullText(usage, config.databaseLimitBytes) : roomText),
    log,
  })
  const watcher = createWatcher({
    databases: stores.databases,
    ...(deps.databaseSpilled && { spilled: deps.databaseSpilled }),
    // The memory of another machine is not known.
    bounds: deps.databaseSpilled ? HARM_BOUNDS : { ...HARM_BOUNDS, memory: Infinity },
    onManyFiles: meter.hurry,
    onEnded: tellApps,
    log,
  })
  function tellApps(userId: string, text: string): void {
    background.run(userId, "tell a user's apps of their database", async () => {
      const owned = await apps.list(userId, { limit: NOTED_APPS, before: undefined })
      await Promise.all(owned.map(({ appId }) => runtime.logs.note(appId, text)))
    })
  }

  /** Finishes what replicas that have ended left unfinished. */
  async function recoverOthersWork(): Promise<void> {
    await deployments.recover()
    await lifecycle.recover({ idleFor: RECOVER_DELETIONS_AFTER })
    await assets.sweep()
  }
  let recovering: Repetition | undefined
  const listening = news.move()

  return {
    apps,
    live,
    power,
    drafts,
    draftAssets,
    versions,
    deployments,
    databases,
    databaseLimitBytes: config.databaseLimitBytes,
    templates,
    views,
    lifecycle,
    trial,
    appUrl: config.appUrl,
    now,
    quotas: {
      limits: config.quotas,
      countApps: apps.count,
      countDeploy: (userId, window) => attempts.count(`deploy:user:${userId}`, window),
      now,
    },
    route: live.route,
    liveTargets: live.targets,
    specOf: specs.specOf,
    sweepAssets: () => assets.sweep(),
    async recover() {
      if (!runtime.capabilities.appsOutlivePlatform) await live.recover()
      if (runtime.capabilities.appsSharedMemoryOnce) {
        const replaced = await databases.replaceOldPasswords()
        if (replaced > 0)
          log.warn(
            { databases: replaced },
            'database passwords and session keys from before this version were replaced: apps could read those of others (see docs/threat-model.md, "After an upgrade")',
          )
      }
      await deployments.recover()
      await lifecycle.recover()
      meter.start()
      watcher.start()
      recovering = repeat(async () => {
        await recoverOthersWork().catch((error: unknown) =>
          log.warn({ err: error }, 'could not finish what another replica left'),
        )
        return RECOVERY_INTERVAL
      }, RECOVERY_INTERVAL)
    },
    async close() {
      void recovering?.end()
      await Promise.all([meter.close(), watcher.close()])
      await deployments.close()
      await Promise.race([background.settled(), delay(CLOSE_PATIENCE, undefined, { ref: false })])
      power.close()
      live.close()
      await listening.disposeAsync()
    },
  }
}

/** Every route of the modules but those of accounts. */
export function registerRoutes(app: Api, services: Services): void {
  checkOwnership(app, services.apps)
  registerQuotas(app, services.quotas)
  registerAppRoutes(app, services)
  registerPowerRoutes(app, services)
  registerDraftRoutes(app, services)
  registerAssetRoutes(app, services)
  registerVersionRoutes(app, services)
  registerDeploymentRoutes(app, services)
  registerTrialRoutes(app, services)
  registerTemplateRoutes(app, services)
  registerDatabaseRoutes(app, services)
}
