import Fastify, { type FastifyInstance, type FastifyHttpOptions } from 'fastify'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { RequestListener, Server as HttpServer } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createActivator, DEFAULT_POLICY } from '../../src/activator.ts'
import { FakeClock, FakeDriver, settle } from '../../src/drivers/fake/index.ts'
import { scalerProxy, type ScalerProxyOptions } from '../../src/http/index.ts'
import type { Activator, TargetPolicy } from '../../src/types.ts'
import type { Message } from './message.ts'
import { Wire, WireClosed } from './wire.ts'

export interface WorldOptions {
  readonly proxy?: Partial<ScalerProxyOptions>
  readonly server?: FastifyHttpOptions<HttpServer>
  readonly policy?: TargetPolicy
  readonly asleep?: boolean
  /** The app listens on TCP rather than on a unix socket. */
  readonly tcp?: boolean
}

/** A real proxy before a real app; only the driver's word of the app is the test's. */
export interface World extends AsyncDisposable {
  readonly driver: FakeDriver
  readonly activator: Activator
  /** Of the activator: idle timeouts are the test's to let pass. */
  readonly clock: FakeClock
  readonly proxy: FastifyInstance
  readonly port: number
  /** Of the socket on which the app listens. */
  readonly appPath: string
  /** The server of the app, when it is Node's. */
  readonly app: Server
  /** Connections that the app has accepted, open or not. */
  readonly connections: readonly Socket[]
  client(): Promise<Wire>
  /** Says that the app is ready, as a new endpoint; `key` is `app` unless told otherwise. */
  wake(key?: string): void
  /** Resolves once the activator has asked the driver to wake the target. */
  waking(): Promise<void>
  /** Resolves once every lease is back. */
  idle(): Promise<void>
}

/** Lets the activator's time pass until the promise has settled. */
export async function whileTimePasses<T>({ clock }: World, promise: Promise<T>): Promise<T> {
  let settled = false
  const done = (): void => void (settled = true)
  promise.then(done, done)
  while (!settled) await clock.advance(10)
  return promise
}

export type RawApp = (wire: Wire) => Promise<void>

/** A proxy before an app that speaks raw bytes; it is called for each connection. */
export function rawWorld(app: RawApp, options: WorldOptions = {}): Promise<World> {
  const failures: Error[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    app(new Wire(socket)).catch((error: Error) => {
      if (!(error instanceof WireClosed)) failures.push(error)
    })
  })
  return start(server, options, failures)
}

/** A proxy before an app that remembers its requests and gives each this answer. */
export async function remembering(
  answer: string | ((request: Message) => string),
  options: WorldOptions = {},
): Promise<World & { readonly seen: Message[] }> {
  const seen: Message[] = []
  const started = await rawWorld(async (wire) => {
    for (;;) {
      const request = await wire.message()
      seen.push(request)
      wire.send(typeof answer === 'string' ? answer : answer(request))
    }
  }, options)
  return Object.assign(started, { seen })
}

/** A proxy before an app on Node's own HTTP server. */
export function world(
  app: RequestListener,
  options: WorldOptions = {},
): Promise<World & { app: HttpServer }> {
  return start(createHttpServer({ keepAliveTimeout: 0 }, app), options, []) as Promise<
    World & { app: HttpServer }
  >
}

async function start(app: Server, options: WorldOptions, failures: Error[]): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'fp-proxy-'))
  const appPath = join(folder, 'app.sock')
  const connections: Socket[] = []
  const clients: Wire[] = []
  app.on('connection', (socket: Socket) => connections.push(socket))
  if (options.tcp) app.listen(0, '127.0.0.1')
  else app.listen(appPath)
  await once(app, 'listening')
  const bound = app.address()
  const appUrl = new URL(typeof bound === 'object' ? `http://127.0.0.1:${bound!.port}` : `unix:${appPath}`)

  const driver = new FakeDriver()
  const clock = new FakeClock()
  const activator = await createActivator({ driver, clock, policy: () => options.policy ?? DEFAULT_POLICY })
  const proxy = Fastify({ bodyLimit: Number.MAX_SAFE_INTEGER, ...options.server }) as FastifyInstance
  proxy.setErrorHandler((error: Error & { statusCode?: number; code?: string }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send({ code: error.code ?? error.message }),
  )
  await proxy.register(scalerProxy, {
    activator,
    resolve: () => Promise.resolve('app'),
    ...options.proxy,
  })
  const port = Number(new URL(await proxy.listen({ port: 0, host: '127.0.0.1' })).port)

  let endpoints = 0
  const started: World = {
    driver,
    activator,
    clock,
    proxy,
    port,
    appPath,
    app,
    connections,
    async client() {
      const wire = await Wire.to(port)
      clients.push(wire)
      return wire
    },
    wake: (key = 'app') => driver.emit(key, { ready: [{ id: `${key}-${++endpoints}`, url: appUrl }] }),
    waking: () =>
      until(() => activator.stats('app')?.phase === 'waking' && (activator.stats('app')?.queued ?? 0) > 0),
    idle: () => until(() => (activator.stats('app')?.inFlight ?? 0) === 0),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close()
      for (const socket of connections) socket.destroy()
      await activator.close({ signal: AbortSignal.abort() }).catch(() => undefined)
      await proxy.close()
      app.close()
      await rm(folder, { recursive: true, force: true })
      if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'))
    },
  }
  if (!options.asleep) started.wake()
  return started
}

/** Waits for what the events of other sockets bring about; the test's own time limit ends it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle()
}
