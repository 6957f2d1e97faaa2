import path from 'node:path'
import { PassThrough } from 'node:stream'
import type { Finding } from '@fp/sdk/wire'
import { pino } from 'pino'
import { inject } from 'vitest'
import { Registry } from 'prom-client'
import type { Api } from '../src/api/api.ts'
import { buildApi } from '../src/api/build.ts'
import { alwaysLeader } from '../src/coordination/leader.ts'
import { soleMember } from '../src/coordination/membership.ts'
import { createApiRates } from '../src/front/rates.ts'
import { createAppChanges, type AppChanges } from '../src/app-changes.ts'
import { Events } from '../src/events.ts'
import { openDirectory } from '../src/gate/directory.ts'
import { sleepWhenAsked } from '../src/gate/sleep-requests.ts'
import { appRecordsModule } from '../src/modules/app-records/module.ts'
import type { AppRecord } from '../src/modules/app-records/types.ts'
import { assetsModule } from '../src/modules/assets/module.ts'
import { databasesModule } from '../src/modules/databases/module.ts'
import { deploymentsModule } from '../src/modules/deployments/module.ts'
import { eventStreamModule } from '../src/modules/event-stream/module.ts'
import { MODULES } from '../src/modules/index.ts'
import type { ModuleDeps } from '../src/modules/module.ts'
import { createSecretBox } from '../src/modules/secrets/box.ts'
import { createEnvVars } from '../src/modules/secrets/env-vars.ts'
import { startModules } from '../src/modules/start.ts'
import { createSessionCookie } from '../src/plugins/session-cookie.ts'
import type { Mongo } from '../src/plugins/mongo.ts'
import { socketHost } from '../src/mongod/sockets.ts'
import { testMongo } from './database.ts'
import { fakeRuntime } from './fake-runtime.ts'
import { HeldTargets } from './held-targets.ts'

export interface ModulesBench extends AsyncDisposable {
  readonly api: Api
  readonly services: Services
  readonly targets: HeldTargets
  readonly events: Events
  /** What the gate hears of apps. */
  readonly changes: AppChanges
  readonly mongo: Mongo
  /** What the fake runtime was told to forget. */
  readonly removed: string[]
  /** What was added to apps' logs. */
  readonly notes: [appId: string, text: string][]
  /** Everything that was logged, as text. */
  logged(): string
  /** What the next validations find. */
  findings: Finding[]
  /** Why no app can have storage. */
  storageProblem: string | undefined
  /** The next services on the same database, as after a restart. They take over what the first ones have: close them in the test. */
  restart(): Promise<Services>
  as(userId: string): Requests
}

export interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly text: string
  /** The parsed body; any, so that tests read it without ceremony. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any
}

export interface Requests {
  (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: unknown): Promise<Answer>
}

export const HELLO = { 'app.py': 'from fastapi import FastAPI\n\napp = FastAPI()\n' }

export type Services = Awaited<ReturnType<typeof startServices>>

/** The modules' services, and what the gate reads of the same database, as tests ask them. */
async function startServices(deps: ModuleDeps, changes: AppChanges) {
  const { use, ...modules } = await startModules(MODULES, deps)
  const { capabilities } = deps.runtime
  const directory = await openDirectory({
    mongo: deps,
    events: deps.events,
    changes,
    capabilities,
    appDatabases: { host: deps.settings.mongoHost, options: deps.settings.mongoOptions ?? {} },
    databaseLimitBytes: deps.settings.databaseLimitBytes,
    secretKey: deps.secretKey,
    log: deps.log,
  })
  let closed: Promise<void> | undefined
  return {
    ...modules,
    apps: use(appRecordsModule).apps,
    openEnv: ({ appId, env }: Pick<AppRecord, 'appId' | 'env'>) =>
      createEnvVars(createSecretBox(deps.secretKey)).open(appId, env),
    route: directory.route,
    liveTargets: directory.liveTargets,
    specOf: directory.specOf,
    databases: use(databasesModule),
    deployments: use(deploymentsModule),
    eventStream: use(eventStreamModule),
    sweepAssets: use(assetsModule).sweep,
    /** As gate and API do at their start. */
    async recover() {
      if (!capabilities.appsOutlivePlatform) {
        await directory.allAsleep()
        await directory.replaceOldSecrets()
      }
      await modules.recover()
    },
    /** Once, however often it is called. */
    close: () =>
      (closed ??= (async () => {
        await modules.close()
        await directory[Symbol.asyncDispose]()
      })()),
  }
}

/** The modules on a real MongoDB behind the real API; users are whoever the token says, apps are `HeldTargets`. */
export async function modulesBench({
  databaseLimitBytes = 512 * 2 ** 20,
  ...overrides
}: Partial<ModuleDeps> & { databaseLimitBytes?: number } = {}): Promise<ModulesBench> {
  const mongo = await testMongo()
  const events = new Events((error) => {
    throw error
  })
  const changes = createAppChanges()
  const targets = new HeldTargets(events)
  const removed: string[] = []
  const notes: [appId: string, text: string][] = []
  const lines: string[] = []
  const sink = new PassThrough().on('data', (chunk: Buffer) => void lines.push(chunk.toString()))
  const logger = pino({ level: 'trace' }, sink)
  const state: { findings: Finding[]; storageProblem: string | undefined } = {
    findings: [],
    storageProblem: undefined,
  }
  const sessionCookie = createSessionCookie({ secure: false, lifetime: 1000 })
  const deps: ModuleDeps = {
    db: mongo.db,
    client: mongo.client,
    events,
    targets,
    forgetRoute: async (appId) => void changes.emit('routed', { appId }),
    validate: async () => ({ findings: state.findings, entrypoint: 'app:app' }),
    runtime: fakeRuntime({
      health: { storageProblem: () => state.storageProblem },
      logs: {
        tail: async () => [
          { time: null, stream: 'stdout', instance: null, version: null, text: 'a line' },
          { time: null, stream: 'platform', instance: null, version: null, text: 'a note' },
        ],
        note: async (appId, text) => void notes.push([appId, text]),
      },
      cleanup: {
        removeApp: async (appId) => void removed.push(appId),
      },
    }),
    members: soleMember(),
    leader: alwaysLeader(),
    passwords: { hash: async () => '', verify: async () => false },
    sessionCookie,
    call: async () => {
      throw new Error('not expected')
    },
    settings: {
      signup: 'open',
      signupsPerHour: 0,
      appUrl: (appId) => `http://app-${appId}.localhost:8080`,
      mongoHost: socketHost(inject('mongoSockets').platform),
      mongoOptions: { directConnection: 'true' },
      defaultIdleTimeoutS: 900,
      quotas: { apps: 0, deploysPerHour: 0, storageApps: 3 },
      databaseLimitBytes,
      storageLimitBytes: 100 * 2 ** 20,
      examplesDir: path.resolve(import.meta.dirname, '../../examples'),
    },
    secretKey: Buffer.alloc(32, 7),
    log: logger,
    ...overrides,
  }
  const services = await startServices(deps, changes)
  const all = [services]
  const sleeping = sleepWhenAsked({
    changes,
    route: services.route,
    activator: {
      sleep: (key) => targets.sleep(key),
      stats: (key) => ({ phase: targets.phase(key) }) as never,
    },
    log: logger,
  })
  const api = await buildApi({
    config: {
      publicUrl: 'http://localhost:8080',
      consoleDir: '/nowhere',
      trustProxy: false,
      metricsToken: undefined,
    },
    logger,
    users: {
      authenticate: async (token: string) => ({
        sessionId: 's',
        user: { userId: token, username: token, role: 'admin' },
        extended: false,
      }),
    } as never,
    checks: {},
    sessionCookie,
    lag: { read: () => ({}) } as never,
    rates: createApiRates({ perSecond: 0, trusts: () => false }),
    metrics: { registry: new Registry(), read: async () => '' },
    gateStatus: async () => ({}) as never,
    registerModules: services.registerRoutes,
  })
  return {
    api,
    services,
    targets,
    events,
    changes,
    mongo,
    removed,
    notes,
    logged: () => lines.join(''),
    get storageProblem() {
      return state.storageProblem
    },
    set storageProblem(value) {
      state.storageProblem = value
    },
    get findings() {
      return state.findings
    },
    set findings(value) {
      state.findings = value
    },
    async restart() {
      const next = await startServices({ ...deps, members: soleMember() }, createAppChanges())
      all.push(next)
      return next
    },
    as: (userId) => async (method, url, body) => {
      const response = await api.inject({
        method,
        url,
        headers: { authorization: `Bearer ${userId}` },
        ...(body === undefined ? {} : { payload: body as object }),
      })
      const isJson = String(response.headers['content-type']).includes('json') && response.payload !== ''
      return {
        status: response.statusCode,
        headers: response.headers,
        text: response.payload,
        body: isJson ? JSON.parse(response.payload) : undefined,
      }
    },
    async [Symbol.asyncDispose]() {
      targets.hold = false
      sleeping[Symbol.dispose]()
      for (const each of all) await each.close()
      await api.close()
      await mongo[Symbol.asyncDispose]()
    },
  }
}
