import { createActivator, type Activator } from '@fp/scaler'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { createAppChanges } from '../app-changes.ts'
import { createAppDatabases } from '../app-databases.ts'
import { withPort, type Config } from '../config.ts'
import { cookieDomains } from '../front/cookie-domains.ts'
import { joinInstallation } from '../coordination/installation.ts'
import { lockDataDir } from '../data-lock.ts'
import { Events } from '../events.ts'
import { behindFront, createFront } from '../front/front.ts'
import { createBounds } from '../front/bounds.ts'
import { createApiRates } from '../front/rates.ts'
import { appIdOf } from '../ingress/host.ts'
import { createIngress } from '../ingress/ingress.ts'
import { createRouteTable } from '../ingress/routes.ts'
import { trusts } from '../ingress/trust.ts'
import { choosePort } from '../listen.ts'
import { MIGRATIONS } from '../migrations/index.ts'
import { migrate } from '../migrations/migrate.ts'
import { startMongod, type ManagedMongod } from '../mongod/mongod.ts'
import { watchEventLoop } from '../plugins/event-loop.ts'
import { createRegistry } from '../plugins/metrics.ts'
import { connectMongo } from '../plugins/mongo.ts'
import { sessionCookieName } from '../plugins/session-cookie.ts'
import { createObserver, createPublisher, tellAll } from '../runtime/activation.ts'
import { createFailureLog } from '../runtime/failure-log.ts'
import { awakeLimits } from '../runtime/awake.ts'
import { createMetricsObserver, measureTargets } from '../runtime/scaler-metrics.ts'
import { wakeLimits } from '../runtime/wakes.ts'
import { readSecretKey } from '../secret-key.ts'
import { createApiBackend } from './api-backend.ts'
import { channelSockets } from './channel/folder.ts'
import { serveGate } from './channel/server.ts'
import { openDirectory } from './directory.ts'
import type { Gate, GateFacts, GateStatus } from './gate.ts'
import { createLocalGate } from './local.ts'
import { createRuntime } from './runtime.ts'
import { sleepWhenAsked } from './sleep-requests.ts'

/** How long to wait for MongoDB in a cluster, in ms: it may start with the platform, on a node that still pulls its image. */
const MONGODB_PATIENCE = 100_000
/** Time that an API in another container needs after the grace period, in ms. */
const API_RESERVE = 1_000
/** Time that leases get at shutdown after the front door has closed, in ms. */
const LEASE_GRACE = 200

export interface RunningGate {
  /** The settings it runs with, including the actual port. */
  readonly config: Config
  /** For an API that runs in this process. */
  readonly gate: Gate
  /** Accepts requests from now on. */
  listen(): Promise<void>
  /**
   * Accepts no more requests and answers those under way. Then waits for `apiDone`, which may still need the gate and gets
   * what is left of the grace period (ms), and stops everything. Takes at most the shutdown delay, the shutdown grace and some
   * seconds.
   */
  close(options: { apiDone: (grace: number) => Promise<void> }): Promise<void>
}

export interface StartGateOptions {
  readonly logger: Logger
  /** Called with each step of the start, to show it to the person who waits. */
  readonly onStep: (step: string) => void
  /** Called once the port and the channel's sockets are known, so that the API's process can be started. */
  readonly onChannel?: (config: Config) => void
}

/** Starts every part in order. If one fails, those before it are stopped, and the error says what to do. */
export async function startGate(
  settings: Config,
  { logger, onStep, onChannel }: StartGateOptions,
): Promise<RunningGate> {
  // The parts are stopped in reverse order.
  await using started = new AsyncDisposableStack()

  // 1. Obstacles: another platform that uses the data folder, a port in use.
  started.use(await lockDataDir(settings.dataDir))
  const config = withPort(settings, await choosePort(settings))
  const trustProxy = trusts(config.trustProxy)
  const sockets = await channelSockets(config.dataDir)
  // Makes an API process that starts meanwhile wait for this gate.
  await rm(sockets.gate, { force: true })
  onChannel?.(config)

  // 2. The database.
  let databaseRestarted = (): void => undefined
  const mongod = config.mongodbUri ? undefined : await managedMongo()
  const mongodbUri = config.mongodbUri ?? mongod!.uri('fp')
  async function managedMongo(): Promise<ManagedMongod> {
    onStep('Starting MongoDB')
    const mongod = await startMongod({
      dir: path.join(config.dataDir, 'mongodb'),
      ...config.mongod,
      onWarning: (warning) => logger.warn(warning),
      onCrash: ({ error, ...crash }) =>
        logger.error({ ...crash, err: error }, 'MongoDB ended; starting it again'),
      onRestart() {
        logger.info('MongoDB is up again')
        databaseRestarted()
      },
    })
    onStep(`MongoDB ${mongod.version}`)
    return started.adopt(mongod, (it) => it.stop())
  }
  const mongo = await connectMongo(mongodbUri, {
    patience: config.kubernetes ? MONGODB_PATIENCE : 0,
    onWait: (error) => logger.warn({ err: error }, 'MongoDB does not answer yet; trying again'),
  })
  started.adopt(mongo.client, (it) => it.close())
  await migrate(mongo.db, MIGRATIONS, logger)

  // 3. The runtime, which runs apps.
  onStep('Starting the runner')
  const events = new Events((error, name) =>
    logger.error({ err: error, event: name }, 'a listener of an event failed'),
  )
  const changes = createAppChanges()
  const registry = createRegistry('gate')
  const metrics = createMetricsObserver(registry)
  const secretKey = await readSecretKey(config)
  const databases = await createAppDatabases(
    { config, mongo, mongoAppsSocket: mongod?.sockets.apps, logger },
    (appId, text) => runtime.logs.note(appId, text),
  )
  if (databases.relay) started.use(databases.relay)
  const { leader, coordination } = started.use(
    await joinInstallation(mongo.db, { role: 'gate', shared: config.kubernetes !== undefined, log: logger }),
  )
  const runtime = started.adopt(
    await createRuntime({
      config,
      db: mongo.db,
      secretKey,
      databases,
      leader,
      databasePids: () => (mongod ? [mongod.pid()] : []),
      logger,
    }),
    (it) => it.close(),
  )
  databaseRestarted = () => runtime.databaseRestarted()
  for (const line of runtime.health.notes) logger.warn(line)
  const { capabilities } = runtime
  const directory = started.use(
    await openDirectory({
      mongo,
      events,
      changes,
      capabilities,
      appDatabases: databases,
      databaseLimitBytes: config.databaseMb * 2 ** 20,
      secretKey,
      log: logger,
    }),
  )
  if (!capabilities.appsOutlivePlatform) {
    await directory.allAsleep()
    await directory.replaceOldSecrets()
  }

  // 4. The activator, which uses the runtime.
  const routes = createRouteTable({
    lookup: (appId) => directory.route(appId),
    changes,
    defaultIdleTimeout: config.idleTimeout,
    ...(config.kubernetes && { maxReplicas: config.kubernetes.maxReplicas }),
  })
  started.defer(() => routes.close())
  const publish = createPublisher(events, routes.ownerOf)
  const failureLog = createFailureLog(logger)
  const activator: Activator = started.adopt(
    await createActivator({
      driver: runtime.driver,
      ...(coordination && { coordination }),
      policy: routes.policyOf,
      wakes: wakeLimits({ onThisMachine: capabilities.appsOnThisMachine, ownerOf: routes.ownerOf }),
      awake: awakeLimits({
        most: config.quotas.awake,
        ownerOf: routes.ownerOf,
        isExempt: directory.isAdmin,
        memory: config.awakeMb * 2 ** 20,
        memoryOfApps: runtime.memoryOfApps,
      }),
      observer: tellAll(createObserver(publish), metrics, failureLog, {
        error: (error, key) => logger.warn({ err: error, target: key }, 'the scaler will try again'),
      }),
    }),
    (it) => it.close({ signal: AbortSignal.timeout(LEASE_GRACE) }),
  )
  measureTargets(registry, activator)
  started.use(sleepWhenAsked({ changes, route: directory.route, activator, log: logger }))
  runtime.start({
    specOf: directory.specOf,
    liveTargets: directory.liveTargets,
    crashed(key, failure) {
      metrics.crashed()
      failureLog.failed(key, failure)
      publish('app.failed', key, { failure })
    },
    progress: (key, message) => publish('app.progress', key, { message }),
  })

  // 5. The channel to the API.
  const lag = started.use(watchEventLoop())
  const facts: GateFacts = {
    port: config.port,
    mongodbUri,
    appDatabases: { host: databases.host, options: databases.options },
    databaseTempDir: mongod?.tempDir ?? null,
    capabilities,
  }
  const status = (): GateStatus => ({
    runnerProblem: runtime.health.problem() ?? null,
    databaseProblem: mongod?.problem() ?? null,
    pids: { gate: process.pid, ...runtime.health.pids(), ...(mongod && { mongodb: mongod.pid() }) },
    eventLoopDelay: lag.read(),
  })
  const gate = createLocalGate({ facts, activator, runtime, events, changes, registry, status })
  const channel = started.use(await serveGate(gate, sockets.gate))

  // 6. The front door.
  const ingress = started.adopt(
    await createIngress({
      activator,
      routes,
      appDomain: config.appDomain,
      trustProxy,
      responseTimeout: config.responseTimeout,
      serverFactory: behindFront,
      registry,
      log: logger,
    }),
    (it) => it.close(),
  )
  const sessionCookie = sessionCookieName(config.publicUrl.startsWith('https:'))
  const rates = createApiRates({ perSecond: config.bounds.apiRate, trusts: trustProxy, sessionCookie })
  const api = started.use(
    createApiBackend({
      socket: sockets.api,
      trusts: trustProxy,
      onSession: rates.remember,
    }),
  )
  const front = createFront({
    api,
    ingress,
    appOf: (host) => appIdOf(host, config.appDomain),
    bounds: createBounds({ limits: config.bounds, rates, trusts: trustProxy }),
    cookies: {
      domains: cookieDomains(new URL(config.publicUrl).hostname),
      session: sessionCookie,
    },
  })

  const stack = started.move()
  const { shutdownDelay, shutdownGrace } = config
  return {
    config,
    gate,
    async listen() {
      await front.listen(config)
    },
    async close({ apiDone }) {
      const end = performance.now() + shutdownDelay + shutdownGrace
      const left = (): number => Math.max(0, end - performance.now())
      await front.close({ quiet: delay(shutdownDelay), grace: shutdownGrace })
      await apiDone(left())
      await Promise.race([channel.unused(), delay(left() + API_RESERVE, undefined, { ref: false })])
      await stack.disposeAsync()
    },
  }
}
