import Fastify, { type FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { scalerProxy, type ExchangeRecord } from '../../../src/http/index.ts'
import { all, header, status, type Message } from '../message.ts'
import { Wire } from '../wire.ts'
import { rawWorld, until, type World } from '../world.ts'
import { upgradeRequest } from './frames.ts'

const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\n'

/** The proxies of one Fastify instance, before one app that accepts every upgrade. */
async function proxies(prepare: (fastify: FastifyInstance, world: World) => unknown): Promise<
  AsyncDisposable & {
    world: World
    ask(path: string, lines?: string): Promise<[Message, Wire]>
    send(bytes: string): Promise<Wire>
  }
> {
  const world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(`${SWITCH}\r\n`)
    await wire.rest()
    wire.close()
  })
  const fastify = Fastify() as FastifyInstance
  await prepare(fastify, world)
  const { port } = new URL(await fastify.listen({ port: 0, host: '127.0.0.1' }))
  const wires: Wire[] = []
  const send = async (bytes: string): Promise<Wire> => {
    const wire = await Wire.to(Number(port))
    wires.push(wire)
    return wire.send(bytes)
  }
  return {
    world,
    send,
    async ask(path, lines = '') {
      const wire = await send(upgradeRequest(lines, path))
      return [await wire.message(), wire]
    },
    async [Symbol.asyncDispose]() {
      for (const wire of wires) wire.close()
      await fastify.close()
      await world[Symbol.asyncDispose]()
    },
  }
}

test.each(['onRequest', 'preValidation', 'preHandler'] as const)(
  'an %s hook that refuses requests refuses upgrades too, and nothing reaches the app',
  async (name) => {
    await using given = await proxies(async (fastify, { activator }) => {
      fastify.addHook(name, async (request, reply) => {
        if (request.headers.authorization === undefined) return reply.code(401).send('login first')
        reply.header('x-hook', 'ran')
      })
      await fastify.register(scalerProxy, { activator, resolve: () => 'app' })
    })
    const [refused, wire] = await given.ask('/')
    expect([status(refused), refused.body, header(refused, 'connection')]).toEqual([
      401,
      'login first',
      'close',
    ])
    expect(await wire.rest()).toBe('')
    expect(given.world.connections).toHaveLength(0)
    const [opened] = await given.ask('/', 'Authorization: yes\r\n')
    expect([status(opened), all(opened.headers, 'x-hook')]).toEqual([101, ['ran']])
  },
)

test('each of several proxies gets the upgrades of its prefix, and other paths get what the instance answers', async () => {
  const told: string[] = []
  await using given = await proxies(async (fastify, { activator, wake }) => {
    wake('a')
    wake('b')
    fastify.get('/status', () => 'mine')
    for (const key of ['a', 'b']) {
      const onExchange = ({ key: of, status: code }: ExchangeRecord): void =>
        void told.push(`${key} ${of} ${code}`)
      await fastify.register(scalerProxy, { activator, prefix: `/${key}`, resolve: () => key, onExchange })
    }
  })
  for (const [path, expected] of [
    ['/a/socket', 101],
    ['/b/socket', 101],
    ['/status', 200],
    ['/other', 404],
  ] as const) {
    const [answer, wire] = await given.ask(path)
    expect([path, status(answer)]).toEqual([path, expected])
    wire.close()
  }
  await until(() => told.length === 2)
  expect(told.toSorted()).toEqual(['a a 101', 'b b 101'])
})

test('with several proxies, a request with `Expect: 100-continue` is served once', async () => {
  let served = 0
  await using given = await proxies(async (fastify, { activator }) => {
    fastify.post('/own', () => `${++served}`)
    for (const key of ['a', 'b'])
      await fastify.register(scalerProxy, { activator, prefix: `/${key}`, resolve: () => key })
  })
  const wire = await given.send(
    'POST /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx',
  )
  expect(await wire.rest()).toMatch(/^HTTP\/1\.1 200 OK[^]*\r\n\r\n1$/)
})

test('upgrades to other protocols stay with the listener of the embedder', async () => {
  await using given = await proxies(async (fastify, { activator }) => {
    fastify.server.on('upgrade', ({ headers }, socket) => {
      if (headers.upgrade === 'mine')
        socket.end('HTTP/1.1 101 Mine\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\n')
    })
    await fastify.register(scalerProxy, { activator, resolve: () => 'app' })
  })
  const mine = await given.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  expect(await mine.rest()).toMatch(/^HTTP\/1\.1 101 Mine\r\n[^]*\r\n\r\n$/)
  expect(status((await given.ask('/'))[0])).toBe(101)
})

test('a header that the app names in Connection is not passed on', async () => {
  await using given = await proxies(async (fastify, { activator }) => {
    await fastify.register(scalerProxy, { activator, resolve: () => 'app' })
  })
  const [answer] = await given.ask('/')
  // As the app, in its order.
  expect(answer.headers[0]).toEqual(['Upgrade', 'websocket'])
  expect(all(answer.headers, 'x-hop')).toEqual([])
  expect(all(answer.headers, 'connection')).toEqual(['Upgrade'])
})

test('an upgrade behind an unanswered request on one connection is answered after it', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  let entered = false
  await using given = await proxies(async (fastify, { activator }) => {
    fastify.get('/slow', () => {
      entered = true
      return promise
    })
    await fastify.register(scalerProxy, { activator, resolve: () => 'app' })
  })
  const wire = await given.send(`GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${upgradeRequest()}`)
  await until(() => entered)
  resolve('slow')
  expect((await wire.message()).body).toBe('slow')
  expect(status(await wire.message())).toBe(101)
})
