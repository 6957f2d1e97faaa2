import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { DEFAULT_ALLOWED_IMPORTS } from '@fp/sdk/python'
import { buildApi } from './app.ts'
import { createAppPlane } from './app-plane.ts'
import { withPort, type Config } from './config.ts'
import { cookieDomains } from './cookie-domains.ts'
import { lockDataDir } from './data-lock.ts'
import { createBounds } from './front/bounds.ts'
import { createApiRates } from './front/rates.ts'
import { behindFront, createFront } from './front.ts'
import { appIdOf } from './ingress/host.ts'
import { trusts } from './ingress/trust.ts'
import { choosePort } from './listen.ts'
import { createLogger } from './logger.ts'
import { startMongod, type ManagedMongod } from './mongod/mongod.ts'
import { deploymentsModule } from './modules/deployments/module.ts'
import { usersModule } from './modules/users/module.ts'
import { SESSION_LIFETIME } from './modules/users/service.ts'
import { createOffload } from './offload/offload.ts'
import { watchEventLoop } from './plugins/event-loop.ts'
import { createRegistry } from './plugins/metrics.ts'
import { connectMongo, isPrimary, sessionProblem } from './plugins/mongo.ts'
import { createSessionCookie } from './plugins/session-cookie.ts'
import { secretFile } from './secret-file.ts'

export interface Platform {
  /** Where the console and the API answer. */
  readonly url: string
  /** The settings it runs with, the real port in them. */
  readonly config: Config
  /** Answers what is under way, then stops everything it started; within 5 s. */
  close(): Promise<void>
}

export interface StartOptions {
  readonly logger?: Logger
  /** Told of each step, for the person who waits. */
  readonly onStep?: (step: string) => void
}

/** In a cluster the database may start together with the platform, on a node that still pulls its image; ms. */
const MONGODB_PATIENCE = 100_000

/** Starts every part in order; when one fails, those before it are stopped and the error says what to do. */
export async function startPlatform(settings: Config, options: StartOptions = {}): Promise<Platform> {
  const step = options.onStep ?? (() => undefined)
  const logger = options.logger ?? createLogger(settings)
  // Stopped in reverse order.
  await using started = new AsyncDisposableStack()

  // 1. What may stand in the way: another platform, a port in use.
  started.use(await lockDataDir(settings.dataDir))
  const config = withPort(settings, await choosePort(settings))

  // 2. The database and the processes for slow work.
  const offload = started.adopt(createOffload(), (it) => it.close())
  let databaseRestarted = (): void => undefined
  const mongod = config.mongodbUri ? undefined : await managedMongo()
  const mongoUri = config.mongodbUri ?? mongod!.uri('fp')
  async function managedMongo(): Promise<ManagedMongod> {
    step('Starting MongoDB')
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
    step(`MongoDB ${mongod.version}`)
    return started.adopt(mongod, (it) => it.stop())
  }
  const mongo = await connectMongo(mongoUri, {
    patience: config.kubernetes ? MONGODB_PATIENCE : 0,
    onWait: (error) => logger.warn({ err: error }, 'MongoDB does not answer yet; trying again'),
  })
  started.adopt(mongo.client, (it) => it.close())

  const sessionCookie = createSessionCookie({
    secure: config.publicUrl.startsWith('https:'),
    lifetime: SESSION_LIFETIME,
  })

  // 3. Where apps live, and the front door for them.
  step('Starting the runner')
  const allowedImports = [...DEFAULT_ALLOWED_IMPORTS, ...config.allowedImports]
  const registry = createRegistry()
  const apps = await createAppPlane({
    config,
    mongo,
    mongoAppsSocket: mongod?.sockets.apps,
    registry,
    secretKey: await readSecretKey(config),
    passwords: offload,
    sessionCookie,
    validate: (files, options) => offload.validate(files, { allowedImports, ...options }),
    ...(mongod && { databasePids: () => [mongod.pid()], databaseSpilled: mongod.spilled }),
    logger,
  })
  databaseRestarted = () => apps.runtime.databaseRestarted()
  started.adopt(apps, (it) => it.close())
  for (const line of apps.runtime.health.notes) logger.warn(line)

  // 4. The API and the console.
  const lag = started.use(watchEventLoop())
  const rates = createApiRates({ perSecond: config.bounds.apiRate, trusts: trusts(config.trustProxy) })
  const api = await buildApi({
    config,
    logger,
    users: apps.modules.use(usersModule),
    sessionCookie,
    lag,
    rates,
    registry,
    // Who changes something may deploy it next.
    onWrite: () => void offload.warmValidator(),
    appsOnLoopback: apps.runtime.capabilities.appsOnLoopback,
    serverFactory: behindFront,
    checks: {
      mongodb: async () =>
        mongod?.problem() ?? ((await isPrimary(mongo)) ? await sessionProblem(mongo) : 'no primary answers'),
      runner: async () => apps.runtime.health.problem(),
    },
    pids: () => ({ ...apps.runtime.health.pids(), ...(mongod && { mongodb: mongod.pid() }) }),
    registerModules: (app) => apps.modules.registerRoutes(app),
  })
  started.adopt(api, (it) => it.close())

  // 5. Open the door. From now on the stack closes it first.
  const front = createFront({
    api,
    ingress: apps.ingress,
    appOf: (host) => appIdOf(host, config.appDomain),
    bounds: createBounds({ limits: config.bounds, rates, trusts: trusts(config.trustProxy) }),
    cookies: {
      domains: cookieDomains(new URL(config.publicUrl).hostname),
      session: sessionCookie.name,
    },
  })
  started.adopt(front, async (it) => {
    const end = delay(config.shutdownDelay + config.shutdownGrace, undefined, { ref: false })
    await it.close({ quiet: delay(config.shutdownDelay), grace: config.shutdownGrace })
    // What was accepted is to be seen through, though nobody may be waiting for its answer.
    await Promise.race([apps.modules.use(deploymentsModule).idle(), end])
  })
  await front.listen(config)
  // For a first sign-up and deploy soon after the start.
  void offload.warmPasswords()
  void offload.warmValidator()

  const stack = started.move()
  let closed: Promise<void> | undefined
  return {
    url: config.publicUrl,
    config,
    close: () => (closed ??= stack.disposeAsync()),
  }
}

/** From the settings, or a file that is made once. Without it no sealed value can be opened again. */
async function readSecretKey(config: Config): Promise<Buffer> {
  if (config.secretKey) return config.secretKey
  const text = await secretFile(path.join(config.dataDir, 'secret.key'), () =>
    randomBytes(32).toString('base64'),
  )
  const key = Buffer.from(text, 'base64')
  if (key.length === 32) return key
  throw new Error(
    `${path.join(config.dataDir, 'secret.key')} does not hold 32 bytes in base64. Restore it from a backup.`,
  )
}
