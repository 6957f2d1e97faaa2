import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { describe, expect, test } from 'vitest'
import { createActivator } from '../../src/activator.ts'
import { FakeClock, FakeDriver } from '../../src/drivers/fake/index.ts'
import {
  routableUrl,
  scalerProxy,
  type ExchangeRecord,
  type ScalerProxyOptions,
} from '../../src/http/index.ts'
import { all, header, status } from './message.ts'
import { upgradeRequest } from './websocket/frames.ts'
import { rawWorld, remembering, until, world as nodeWorld } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const UNUSABLE = 'http://127.0.0.1:1'

const fails = (reason: unknown) => (): never => {
  throw reason
}
const rejects = (reason: unknown) => (): Promise<never> => Promise.reject(reason as Error)

describe('what a function of the embedder throws is answered, and leaves no lease behind:', () => {
  const page = (send: () => unknown): Partial<ScalerProxyOptions> => ({
    wakePolicies: [() => ({ action: 'page' })],
    loadingPage: { after: 0, send },
  })
  test.each<[string, Partial<ScalerProxyOptions>, boolean]>([
    ['`onLease` at an awake target', { onLease: fails(new Error('mine')) }, false],
    ['`onLease` after a wake', { onLease: fails(undefined) }, true],
    ['`resolve` that rejects with undefined', { resolve: rejects(undefined) }, false],
    ['`resolve` that rejects with null', { resolve: rejects(null) }, false],
    ['`resolve` that throws a string', { resolve: fails('mine') }, false],
    ['a wake policy that throws undefined', { wakePolicies: [fails(undefined)] }, true],
    ['`loadingPage.send` that throws undefined', page(fails(undefined)), true],
    ['`loadingPage.send` that rejects with null', page(rejects(null)), true],
    ['`ownHeaders`', { ownHeaders: fails(new Error('mine')) }, false],
    ['`limits`', { limits: fails(new Error('mine')) }, false],
  ])('%s', async (_name, proxy, asleep) => {
    const told: ExchangeRecord[] = []
    await using world = await remembering(OK, {
      asleep,
      proxy: { ...proxy, onExchange: (it) => void told.push(it) },
    })
    const client = await world.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    if (asleep && proxy.onLease) await world.waking().then(() => world.wake())
    expect(status(await client.message())).toBe(500)
    expect(world.seen).toEqual([])
    await until(() => told.length === 1)
    expect(told[0]).toMatchObject({ status: 500, error: expect.stringMatching(/^(Type)?Error$/) as string })
    await world.idle()
  })

  test('`resolve` that rejects with undefined for a WebSocket', async () => {
    await using world = await remembering(OK, { proxy: { resolve: rejects(undefined) } })
    expect(status(await (await world.client()).send(upgradeRequest()).message())).toBe(500)
  })
})

test.each([undefined, '', 7, null])('`resolve` that returns %j is named in the error', async (value) => {
  for (const resolve of [() => value, () => Promise.resolve(value)]) {
    await using world = await remembering(OK, { proxy: { resolve: resolve as () => string } })
    const { body } = await (await world.client()).send(GET).message()
    expect(body).toContain('resolve has returned no target')
    expect([...world.activator.targets()].map(([key]) => key)).toEqual(['app'])
  }
})

test('names of own and added headers may have capitals: the client cannot set them', async () => {
  const proxy: Partial<ScalerProxyOptions> = {
    ownHeaders: () => ({ 'X-User': 'ours' }),
    onRequest: () => ({ 'X-Trace': 'ours' }),
    clientPrefix: 'X-Client',
  }
  await using world = await remembering(OK, { proxy })
  const forged = 'x-user: theirs\r\nx-trace: theirs\r\nx-client: theirs\r\nX-CLIENT-host: theirs\r\n'
  const answer = await (await world.client()).send(`GET / HTTP/1.1\r\nHost: a\r\n${forged}\r\n`).message()
  const { headers } = world.seen[0]!
  expect([all(headers, 'x-user'), all(headers, 'x-trace'), all(answer.headers, 'x-user')]).toEqual([
    ['ours'],
    ['ours'],
    ['ours'],
  ])
  expect([all(headers, 'x-client-host'), all(headers, 'x-client').join()]).toEqual([
    ['a'],
    expect.not.stringContaining('theirs'),
  ])
})

test.each(['ownHeaders', 'onRequest'] as const)(
  'a header of `%s` that is not valid is no fault of the app',
  async (name) => {
    await using world = await remembering(OK, { proxy: { [name]: () => ({ 'x-user': 'a\nb' }) } })
    for (const bytes of [GET, upgradeRequest()]) {
      const answer = await (await world.client()).send(bytes).message()
      expect([status(answer), answer.body]).toEqual([
        500,
        expect.stringContaining(`${name} has returned a header`),
      ])
    }
    expect(world.activator.stats('app')?.endpoints).toBe(1)
  },
)

describe('a loading page', () => {
  const load = async (
    send: NonNullable<ScalerProxyOptions['loadingPage']>['send'],
  ): Promise<[number, string]> => {
    await using world = await remembering(OK, {
      asleep: true,
      proxy: { wakePolicies: [() => ({ action: 'page' })], loadingPage: { after: 0, send } },
    })
    const answer = await (await world.client()).send(GET).message()
    return [status(answer), answer.body]
  }
  test('may be returned', async () => {
    const returned = (_request: unknown, reply: FastifyReply): Promise<string> => {
      reply.code(503)
      return Promise.resolve('soon')
    }
    expect(await load(() => 'soon')).toEqual([200, 'soon'])
    expect(await load(returned)).toEqual([503, 'soon'])
  })
  test('may be sent', async () => {
    expect(await load((_request, reply) => reply.code(503).send('soon'))).toEqual([503, 'soon'])
    expect(await load((_request, reply) => void reply.code(503).send('soon'))).toEqual([503, 'soon'])
  })
  test('that is neither is an error', async () => {
    const [code, body] = await load(() => undefined)
    expect([code, body]).toEqual([
      500,
      expect.stringContaining('loadingPage.send has neither sent nor returned'),
    ])
  })
})

describe('a fallback', () => {
  const proxy = (told: ExchangeRecord[]): Partial<ScalerProxyOptions> => ({
    wakePolicies: [() => ({ action: 'fallback', url: UNUSABLE })],
    onExchange: (it) => void told.push(it),
  })

  test('that does not accept the connection leaves no trace if the wake fails too', async () => {
    const told: ExchangeRecord[] = []
    await using world = await remembering(OK, { asleep: true, proxy: proxy(told) })
    const client = await world.client()
    client.send(GET)
    await until(() => (world.activator.stats('app')?.queued ?? 0) > 1)
    world.driver.fail('app', { code: 'X', message: 'no' })
    expect(header(await client.message(), 'x-scaler-wake')).toBe('held')
    await until(() => told.length === 1)
    expect(told[0]).toMatchObject({ mark: 'held', endpoint: undefined, error: 'SCALER_TARGET_FAILED' })
  })

  test('that does not accept the connection asks for no second wake if the first was refused', async () => {
    const refused: string[] = []
    const driver = new FakeDriver()
    const activator = await createActivator({
      driver,
      clock: new FakeClock(),
      wakes: { atOnce: 1, waiting: 0 },
      observer: { refused: (key, code) => void refused.push(`${key} ${code}`) },
    })
    const fastify = Fastify() as FastifyInstance
    await fastify.register(scalerProxy, { activator, resolve: () => 'b', ...proxy([]) })
    activator.wake('a').catch(() => undefined)
    await until(() => driver.calls.length === 1)
    expect((await fastify.inject({ url: '/' })).statusCode).toBe(503)
    expect(refused).toEqual(['b SCALER_WAKES_FULL'])
    await activator.close({ signal: AbortSignal.abort() }).catch(() => undefined)
    await fastify.close()
  })

  test('of a target that drains adds one waiter, however many requests it gets', async () => {
    await using world = await nodeWorld((_request, response) => response.end('fallback'), {
      tcp: true,
      proxy: { wakePolicies: [() => ({ action: 'fallback', url: fallbackUrl() })] },
    })
    const fallbackUrl = (): string => `http://127.0.0.1:${(world.app.address() as { port: number }).port}`
    const scaled = Promise.withResolvers<void>()
    world.driver.onScale = () => scaled.promise
    const sleeping = world.activator.sleep('app')
    await until(() => world.activator.stats('app')?.phase === 'draining')
    for (let i = 0; i < 3; i++)
      expect((await (await world.client()).send(GET).message()).body).toContain('fallback')
    expect(world.activator.stats('app')?.queued).toBe(1)
    scaled.resolve()
    await sleeping
  })
})

test('a WebSocket that is refused is told of with the status of its response and its size', async () => {
  const told: ExchangeRecord[] = []
  await using world = await rawWorld(async () => undefined, {
    proxy: {
      resolve: fails(Object.assign(new Error('none'), { statusCode: 404 })),
      onExchange: (it) => void told.push(it),
    },
  })
  const answer = await (await world.client()).send(upgradeRequest()).message()
  await until(() => told.length === 1)
  expect([status(answer), told[0]!.status, told[0]!.bytesOut]).toEqual([404, 404, answer.body.length])
})

test('the response to an upload without a target closes the connection, so that the rest is not read', async () => {
  await using world = await remembering(OK, {
    proxy: { resolve: fails(Object.assign(new Error('none'), { statusCode: 404 })) },
  })
  const client = await world.client()
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${100 * 1024 * 1024}\r\n\r\n`)
  expect(await client.rest()).toMatch(/^HTTP\/1\.1 404 [^]*connection: close/i)
})

test('a path that cannot be decoded reaches the app below a prefix too', async () => {
  await using world = await remembering(OK)
  const fastify = Fastify({ rewriteUrl: routableUrl }) as unknown as FastifyInstance
  await fastify.register(scalerProxy, { activator: world.activator, resolve: () => 'app', prefix: '/a' })
  for (const path of ['/a/%zz?b=%zz', '/a/%ff/x', '/a/%41']) await fastify.inject({ url: path })
  expect(world.seen.map(({ start }) => start.split(' ')[1])).toEqual(['/a/%zz?b=%zz', '/a/%ff/x', '/a/%41'])
  await fastify.close()
})

test.each<[string, object]>([
  ['activator', { activator: undefined }],
  ['resolve', { resolve: undefined }],
  ['resolve', { resolve: 'app' }],
  ['onLease', { onLease: 1 }],
  ['wakePolicies', { wakePolicies: [1] }],
  ['loadingPage', { loadingPage: { after: -1, send: () => '' } }],
  ['loadingPage', { loadingPage: { after: 1 } }],
  ['closeGrace', { closeGrace: -1 }],
  ['httpMethods', { httpMethods: 'GET' }],
  ['trustProxy', { trustProxy: true }],
  ['trustProxy', { trustProxy: '127.0.0.1' }],
  ['trustProxy', { trustProxy: [1] }],
])('the option %s is checked: %o', async (name, options) => {
  const activator = await createActivator({ driver: new FakeDriver() })
  const fastify = Fastify()
  const register = async (): Promise<unknown> =>
    fastify.register(scalerProxy, { activator, resolve: () => 'app', ...options } as ScalerProxyOptions)
  await expect(register()).rejects.toThrow(name)
  await activator.close()
})

test('an instance for HTTP/2 is refused', async () => {
  const activator = await createActivator({ driver: new FakeDriver() })
  const fastify = Fastify({ http2: true }) as unknown as FastifyInstance
  const register = async (): Promise<unknown> =>
    fastify.register(scalerProxy, { activator, resolve: () => 'app' })
  await expect(register()).rejects.toThrow(/without http2/)
  await activator.close()
})
