import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { DEFAULT_ALLOWED_IMPORTS } from '@fp/sdk/python'
import { buildApi } from './build.ts'
import { appUrl, withPort, type Config } from '../config.ts'
import { joinInstallation } from '../coordination/installation.ts'
import { Events } from '../events.ts'
import { createApiRates } from '../front/rates.ts'
import { channelSockets } from '../gate/channel/folder.ts'
import { trustsGate } from '../gate/forwarded.ts'
import type { Gate } from '../gate/gate.ts'
import { trusts } from '../ingress/trust.ts'
import { listenOnSocket } from '../listen.ts'
import { spilledIn } from '../modules/databases/spilled.ts'
import { deploymentsModule } from '../modules/deployments/module.ts'
import { MODULES } from '../modules/index.ts'
import { startModules } from '../modules/start.ts'
import { usersModule } from '../modules/users/module.ts'
import { SESSION_LIFETIME } from '../modules/users/service.ts'
import { MIGRATIONS } from '../migrations/index.ts'
import { migrate } from '../migrations/migrate.ts'
import { createOffload } from '../offload/offload.ts'
import { watchEventLoop } from '../plugins/event-loop.ts'
import { createRegistry, mergeMetrics } from '../plugins/metrics.ts'
import { connectMongo, isPrimary, sessionProblem } from '../plugins/mongo.ts'
import { createSessionCookie } from '../plugins/session-cookie.ts'
import { readSecretKey } from '../secret-key.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')

export interface RunningApi {
  /** Answers running requests and completes accepted deployments for `grace` ms, then stops. The gate must still answer. */
  close(options: { grace: number }): Promise<void>
}

/** Starts the API and the console on a unix socket, to which the gate passes requests. Resolves once they are accepted. */
export async function startApi(
  settings: Config,
  { gate, logger }: { gate: Gate; logger: Logger },
): Promise<RunningApi> {
  const { facts } = gate
  const config = withPort(settings, facts.port)
  const { api: socket } = await channelSockets(config.dataDir)
  // The parts are stopped in reverse order.
  await using started = new AsyncDisposableStack()

  const mongo = await connectMongo(facts.mongodbUri)
  started.adopt(mongo.client, (it) => it.close())
  // The gate has done this already, unless it has another version. Then this may throw, and the process must not start.
  await migrate(mongo.db, MIGRATIONS, logger)
  const offload = started.adopt(createOffload(), (it) => it.close())
  const events = new Events((error, name) =>
    logger.error({ err: error, event: name }, 'a listener of an event failed'),
  )
  started.use(gate.onEvent((event) => events.publish(event)))
  const { members, leader } = started.use(
    await joinInstallation(mongo.db, {
      role: 'api',
      shared: facts.capabilities.sharedByReplicas,
      log: logger,
    }),
  )
  const sessionCookie = createSessionCookie({
    secure: config.publicUrl.startsWith('https:'),
    lifetime: SESSION_LIFETIME,
  })
  const { databaseTempDir } = facts
  const allowedImports = [...DEFAULT_ALLOWED_IMPORTS, ...config.allowedImports]
  const modules = started.adopt(
    await startModules(MODULES, {
      db: mongo.db,
      client: mongo.client,
      events,
      validate: (files, options) => offload.validate(files, { allowedImports, ...options }),
      passwords: offload,
      targets: gate.targets,
      runtime: {
        capabilities: facts.capabilities,
        logs: gate.logs,
        trial: gate.trial,
        cleanup: gate.cleanup,
        health: gate,
      },
      forgetRoute: (appId) => gate.forgetRoute(appId),
      call: (request, options) => gate.call(request, options),
      members,
      leader,
      ...(databaseTempDir && { databaseSpilled: () => spilledIn(databaseTempDir) }),
      sessionCookie,
      settings: {
        appUrl: (appId) => appUrl(config, appId),
        signup: config.signup,
        signupsPerHour: config.signupsPerHour,
        mongoHost: facts.appDatabases.host,
        mongoOptions: facts.appDatabases.options,
        databaseLimitBytes: config.databaseMb * 2 ** 20,
        storageLimitBytes: config.storageMb * 2 ** 20,
        defaultIdleTimeoutS: config.idleTimeout / 1000,
        quotas: config.quotas,
        examplesDir: path.join(ROOT, 'examples'),
      },
      secretKey: await readSecretKey(config),
      log: logger,
    }),
    (it) => it.close(),
  )
  await modules.recover()

  const registry = createRegistry('api')
  const api = await buildApi({
    config,
    logger,
    users: modules.use(usersModule),
    sessionCookie,
    lag: started.use(watchEventLoop()),
    rates: createApiRates({
      perSecond: config.bounds.apiRate,
      trusts: trustsGate(trusts(config.trustProxy)),
    }),
    metrics: {
      registry,
      read: async () => mergeMetrics([await gate.metrics(), await registry.metrics()]),
    },
    // A user who changes something may deploy next.
    onWrite: () => void offload.warmValidator(),
    appsOnLoopback: facts.capabilities.appsOnLoopback,
    gateStatus: () => gate.status(),
    checks: {
      mongodb: async ({ databaseProblem }) =>
        databaseProblem ?? ((await isPrimary(mongo)) ? await sessionProblem(mongo) : 'no primary answers'),
      runner: async ({ runnerProblem }) => runnerProblem ?? undefined,
    },
    registerModules: modules.registerRoutes,
  })
  started.adopt(api, (it) => it.close())
  await listenOnSocket(api.server, socket)
  // So that a first sign-up or deploy soon after the start is fast.
  void offload.warmPasswords()
  void offload.warmValidator()

  const stack = started.move()
  return {
    async close({ grace }) {
      const end = delay(grace, undefined, { ref: false })
      const answered = new Promise<void>((done) => api.server.close(() => done()))
      await Promise.race([answered, end])
      // Accepted deployments are completed even if no request waits for them.
      await Promise.race([modules.use(deploymentsModule).idle(), end])
      api.server.closeAllConnections()
      await stack.disposeAsync()
    },
  }
}
