import path from 'node:path'
import { PassThrough } from 'node:stream'
import type { Finding } from '@fp/sdk/wire'
import { pino } from 'pino'
import { inject } from 'vitest'
import { Registry } from 'prom-client'
import type { Api } from '../src/api.ts'
import { buildApi } from '../src/app.ts'
import { alwaysLeader } from '../src/coordination/leader.ts'
import { soleMember } from '../src/coordination/membership.ts'
import { createApiRates } from '../src/front/rates.ts'
import { createEvents, type Events } from '../src/events.ts'
import { appRecordsModule } from '../src/modules/app-records/module.ts'
import { assetsModule } from '../src/modules/assets/module.ts'
import { databasesModule } from '../src/modules/databases/module.ts'
import { deploymentsModule } from '../src/modules/deployments/module.ts'
import { MODULES } from '../src/modules/index.ts'
import type { ModuleDeps } from '../src/modules/module.ts'
import { specsModule } from '../src/modules/specs/module.ts'
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
  /** The next services on the same database, as after a restart. */
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

/** The modules' services, as tests ask them. */
async function startServices(deps: ModuleDeps) {
  const { use, ...modules } = await startModules(MODULES, deps)
  const { apps, live } = use(appRecordsModule)
  return {
    ...modules,
    apps,
    route: live.route,
    liveTargets: live.targets,
    specOf: use(specsModule).specOf,
    databases: use(databasesModule),
    deployments: use(deploymentsModule),
    sweepAssets: use(assetsModule).sweep,
  }
}

/** The modules on a real MongoDB behind the real API; users are whoever the token says, apps are `HeldTargets`. */
export async function modulesBench({
  databaseLimitBytes = 512 * 2 ** 20,
  ...overrides
}: Partial<ModuleDeps> & { databaseLimitBytes?: number } = {}): Promise<ModulesBench> {
  const mongo = await testMongo()
  const events = createEvents()
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
        removeTarget: async () => undefined,
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
  const services = await startServices(deps)
  const all = [services]
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
    registry: new Registry(),
    registerModules: services.registerRoutes,
  })
  return {
    api,
    services,
    targets,
    events,
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
      const next = await startServices({ ...deps, members: soleMember() })
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
      for (const each of all) await each.close()
      await api.close()
      await mongo[Symbol.asyncDispose]()
    },
  }
}
