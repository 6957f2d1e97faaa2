import { createActivator, type Activator, type Driver } from '@fp/scaler'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import path from 'node:path'
import { createAppDatabases, type AppDatabases } from './app-databases.ts'
import type { Config } from './config.ts'
import { joinInstallation } from './coordination/installation.ts'
import type { Leader } from './coordination/leader.ts'
import { createEvents } from './events.ts'
import { behindFront } from './front.ts'
import { callApp } from './ingress/call.ts'
import { createIngress } from './ingress/ingress.ts'
import { createRouteTable } from './ingress/routes.ts'
import { trusts } from './ingress/trust.ts'
import { appRecordsModule } from './modules/app-records/module.ts'
import { MODULES } from './modules/index.ts'
import type { ModuleDeps } from './modules/module.ts'
import { specsModule } from './modules/specs/module.ts'
import { startModules, type Modules } from './modules/start.ts'
import { usersModule } from './modules/users/module.ts'
import type { Mongo } from './plugins/mongo.ts'
import { createObserver, createTargets, tellAll } from './runtime/activation.ts'
import { limitAwake } from './runtime/awake-limit.ts'
import { wakeLimits } from './runtime/wakes.ts'
import { createMetricsObserver, measureTargets } from './runtime/scaler-metrics.ts'
import { parseTargetKey } from './runtime/targets.ts'
import { createLocalRuntime } from './runtime/local/index.ts'
import type { Runtime } from './runtime/runtime.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** What leases get at shutdown, after the front has let requests end. */
const LEASE_GRACE = 200

export interface AppPlaneDeps {
  readonly config: Config
  readonly mongo: Mongo
  /** Where the platform's own MongoDB takes the connections of apps. */
  readonly mongoAppsSocket?: string | undefined
  /** Where the activator's metrics go. */
  readonly registry: Registry
  readonly secretKey: Buffer
  readonly validate: ModuleDeps['validate']
  readonly passwords: ModuleDeps['passwords']
  readonly sessionCookie: ModuleDeps['sessionCookie']
  /** Bytes in the temporary files of the platform's own MongoDB. */
  readonly databaseSpilled?: () => Promise<number>
  /** The processes of the database, if the platform runs it. */
  readonly databasePids?: () => readonly number[]
  readonly logger: Logger
}

/** Everything that makes apps live: the runtime, the activator over it, the modules above and the front door's instance. */
export interface AppPlane {
  readonly modules: Modules
  readonly ingress: FastifyInstance
  readonly runtime: Runtime
  close(): Promise<void>
}

export async function createAppPlane(deps: AppPlaneDeps): Promise<AppPlane> {
  const { config, mongo, logger } = deps
  const events = createEvents()
  // Stopped in reverse order: the modules first, the processes of apps last.
  await using started = new AsyncDisposableStack()

  const note = (appId: string, text: string): Promise<void> => runtime.logs.note(appId, text)
  const databases = await createAppDatabases(deps, note)
  if (databases.relay) started.use(databases.relay)
  const metrics = createMetricsObserver(deps.registry)
  const { members, leader, coordination } = started.use(
    await joinInstallation(mongo.db, {
      role: 'platform',
      shared: config.kubernetes !== undefined,
      log: logger,
    }),
  )
  const runtime: Runtime = started.adopt(await createRuntime(deps, databases, leader), (it) => it.close())
  const routes = createRouteTable({
    lookup: (appId) => modules.use(appRecordsModule).live.route(appId),
    events,
    defaultIdleTimeout: config.idleTimeout,
    ...(config.kubernetes && { maxReplicas: config.kubernetes.maxReplicas }),
  })
  started.defer(() => routes.close())
  const { appsOnThisMachine } = runtime.capabilities
  const activator: Activator = started.adopt(
    await createActivator({
      driver: limited(runtime.driver),
      ...(coordination ? { coordination } : {}),
      policy: routes.policyOf,
      wakes: wakeLimits({ onThisMachine: appsOnThisMachine, ownerOf: routes.ownerOf }),
      observer: tellAll(createObserver(events), metrics, {
        error: (error, key) => logger.warn({ err: error, target: key }, 'the scaler will try again'),
      }),
    }),
    (it) => it.close({ signal: AbortSignal.timeout(LEASE_GRACE) }),
  )
  function limited(driver: Driver): Driver {
    const { awake: most } = config.quotas
    if (most === 0) return driver
    return limitAwake({
      driver,
      most,
      ownerOf: routes.ownerOf,
      isExempt: (userId) => modules.use(usersModule).isAdmin(userId),
      activator: () => activator,
    })
  }
  measureTargets(deps.registry, activator)
  // The modules ask the runtime and the activator, and are asked by them: never before `recover` below.
  const modules: Modules = started.adopt(
    await startModules(MODULES, {
      db: mongo.db,
      client: mongo.client,
      events,
      validate: deps.validate,
      targets: createTargets(activator, runtime.cleanup),
      runtime,
      members,
      leader,
      ...(deps.databaseSpilled && { databaseSpilled: deps.databaseSpilled }),
      passwords: deps.passwords,
      sessionCookie: deps.sessionCookie,
      call: (target, request, caller) => callApp(activator, target, request, caller),
      settings: {
        appUrl: (appId) => `${new URL(config.publicUrl).protocol}//app-${appId}.${config.appDomain}`,
        signup: config.signup,
        signupsPerHour: config.signupsPerHour,
        mongoHost: databases.host,
        mongoOptions: databases.options,
        databaseLimitBytes: config.databaseMb * 2 ** 20,
        storageLimitBytes: config.storageMb * 2 ** 20,
        defaultIdleTimeoutS: config.idleTimeout / 1000,
        quotas: config.quotas,
        examplesDir: path.join(ROOT, 'examples'),
      },
      secretKey: deps.secretKey,
      log: logger,
    }),
    (it) => it.close(),
  )
  // Before the recovery, which may wake apps.
  runtime.start({
    specOf: (key) => modules.use(specsModule).specOf(key),
    liveTargets: () => modules.use(appRecordsModule).live.targets(),
    crashed(key, failure) {
      metrics.crashed()
      events.emit('app.failed', { ...parseTargetKey(key), failure })
    },
    progress: (key, message) => void events.emit('app.progress', { ...parseTargetKey(key), message }),
  })
  await modules.recover()
  const ingress = started.adopt(
    await createIngress({
      activator,
      routes,
      appDomain: config.appDomain,
      trustProxy: trusts(config.trustProxy),
      responseTimeout: config.responseTimeout,
      serverFactory: behindFront,
      registry: deps.registry,
      log: logger,
    }),
    (it) => it.close(),
  )

  const stack = started.move()
  return { modules, ingress, runtime, close: () => stack.disposeAsync() }
}

async function createRuntime(
  deps: AppPlaneDeps,
  databases: Pick<AppDatabases, 'relay' | 'egress'>,
  leader: Leader,
): Promise<Runtime> {
  const { config, logger } = deps
  if (config.kubernetes) {
    // The client of the API server takes 60 MiB: loaded in a cluster alone.
    const { createKubernetesRuntime, defaultKubeConfig } = await import('./runtime/kubernetes/index.ts')
    return createKubernetesRuntime({
      kubeConfig: defaultKubeConfig(),
      settings: config.kubernetes,
      db: deps.mongo.db,
      secretKey: deps.secretKey,
      leader,
      log: logger,
    })
  }
  return createLocalRuntime({
    dataDir: config.dataDir,
    python: config.python,
    runnerPath: path.join(ROOT, 'runner/src'),
    allowUnsandboxed: config.allowUnsandboxed,
    freshInterpreters: !config.zygote,
    egress: databases.egress,
    storageBytes: config.storageMb * 2 ** 20,
    databasePids: () => [
      ...(deps.databasePids?.() ?? []),
      ...(databases.relay ? [databases.relay.pid()] : []),
    ],
    ...(databases.relay && { databases: databases.relay }),
    log: logger,
  })
}
