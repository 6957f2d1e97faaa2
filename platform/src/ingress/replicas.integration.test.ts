import { createActivator, type Activator } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMongoCoordination } from '../coordination/mongo-coordination.ts'
import { joinMembership } from '../coordination/membership.ts'
import { Events } from '../events.ts'
import { connectMongo, type Mongo } from '../plugins/mongo.ts'
import { createObserver, createPublisher, createTargets } from '../runtime/activation.ts'
import { testMongoUri } from '../../test/database.ts'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../test/modules.ts'
import { createIngress } from './ingress.ts'
import { createRouteTable } from './routes.ts'

/** A replica of the platform without its process: modules, activator and ingress with their own connection. */
interface Replica extends AsyncDisposable {
  readonly mongo: Mongo
  readonly bench: ModulesBench
  readonly ann: Requests
  /** The answer of an app's host at this replica. */
  get(app: string): Promise<{ status: number; body: string }>
}

/** The runtime of all replicas: each target is a server that answers with its name, and is closed when it is scaled down. */
const driver = new FakeDriver()
const pods = new Map<string, Server>()
const replicas: Replica[] = []

async function startPod(key: string): Promise<void> {
  await replicas[0]!.bench.services.specOf(key)
  if (pods.has(key)) return
  const server = createServer((_request, response) => void response.end(key)).listen(0, '127.0.0.1')
  pods.set(key, server)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  driver.emit(key, { ready: [{ id: `${key}-${port}`, url: new URL(`http://127.0.0.1:${port}`) }] })
}

function stopPod(key: string): void {
  pods.get(key)?.close()
  pods.get(key)?.closeAllConnections()
  pods.delete(key)
}

async function startReplica(uri: string): Promise<Replica> {
  const mongo = await connectMongo(uri)
  const events = new Events((error) => {
    throw error
  })
  const members = await joinMembership(mongo.db, { role: 'gate', onError: () => undefined })
  const activator: Activator = await createActivator({
    driver,
    coordination: { ...createMongoCoordination(mongo.db), members },
    observer: createObserver(createPublisher(events, () => 'u_ann')),
  })
  const bench = await modulesBench({
    db: mongo.db,
    client: mongo.client,
    events,
    members,
    targets: createTargets(activator, { removeTarget: () => Promise.resolve() }),
  })
  const routes = createRouteTable({
    lookup: bench.services.route,
    changes: bench.changes,
    defaultIdleTimeout: 900_000,
  })
  const ingress = await createIngress({
    activator,
    routes,
    appDomain: 'localhost',
    trustProxy: () => false,
    responseTimeout: 5_000,
    serverFactory: (handler) => createServer((request, response) => void handler(request, response)),
    registry: new Registry(),
    log: pino({ level: 'silent' }),
  })
  return {
    mongo,
    bench,
    ann: bench.as('u_ann'),
    async get(app) {
      const answer = await ingress.inject({ url: '/', headers: { host: `app-${app}.localhost` } })
      return { status: answer.statusCode, body: answer.body }
    },
    async [Symbol.asyncDispose]() {
      await ingress.close()
      await bench[Symbol.asyncDispose]()
      routes.close()
      await activator.close({ signal: AbortSignal.abort() })
      await members[Symbol.asyncDispose]()
      await mongo.client.close()
    },
  }
}

beforeAll(async () => {
  const uri = testMongoUri()
  for (let count = 0; count < 3; count++) replicas.push(await startReplica(uri))
  driver.onScale = ({ key, replicas: wanted }) => (wanted > 0 ? startPod(key) : stopPod(key))
})
afterAll(async () => {
  const { mongo } = await connectionForTheEnd()
  for (const each of replicas) await each[Symbol.asyncDispose]()
  for (const key of [...pods.keys()]) stopPod(key)
  await mongo.db.dropDatabase()
  await mongo.client.close()
})

async function connectionForTheEnd(): Promise<{ mongo: Mongo }> {
  const uri = new URL(testMongoUri())
  uri.pathname = `/${replicas[0]!.mongo.db.databaseName}`
  return { mongo: await connectMongo(uri.href) }
}

async function deploy(at: Replica, app: string): Promise<void> {
  const { deployment_id: id } = (await at.ann('POST', `/api/apps/${app}/deploy`)).body
  const { text } = await at.ann('GET', `/api/apps/${app}/deployments/${id}/events`)
  expect(text).toContain('event: ready')
}

test('deploys and changes at any replica lose no request at the others', async () => {
  const [one, two, three] = replicas as [Replica, Replica, Replica]
  const app = (await one.ann('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id as string
  await deploy(one, app)

  const answers: { status: number; body: string }[] = []
  let over = false
  const load = [one, two, three, two, three].map(async (at) => {
    while (!over) answers.push(await at.get(app))
  })
  for (const at of [one, two, three, one]) {
    await deploy(at, app)
    const before = answers.length
    await expect.poll(() => answers.length, { interval: 5 }).toBeGreaterThan(before + 20)
    const changed = await at.ann('PATCH', `/api/apps/${app}`, { env_vars: { N: String(before) } })
    expect(changed.status).toBe(200)
  }
  over = true
  await Promise.all(load)

  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  const live = (await three.bench.services.route(app))!.key!
  expect(await Promise.all(replicas.map((at) => at.get(app)))).toEqual(
    replicas.map(() => ({ status: 200, body: live })),
  )
  // No replaced target is still running.
  await expect.poll(() => [...pods.keys()], { timeout: 10_000 }).toEqual([live])
})
