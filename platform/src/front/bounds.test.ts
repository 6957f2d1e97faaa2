import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import Fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { behindFront, createFront } from './front.ts'
import { createBounds, type BoundLimits } from './bounds.ts'
import { createApiRates } from './rates.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface World {
  readonly port: number
  /** Requests that a service holds until `release`. */
  held(): number
  release(): void
  /** The number of requests that Node has emitted. */
  seen(): number
  get(
    host: string,
    headers?: Record<string, string>,
  ): Promise<{ status: number; code: string; response: IncomingMessage }>
}

/** A front door whose peers are trusted proxies, so that a test has many addresses. */
async function start(limits: Partial<BoundLimits>, perSecond = 0): Promise<World> {
  const trusts = (address: string): boolean => address.startsWith('127.')
  const waiting: (() => void)[] = []
  let held = 0
  const service = () => {
    const app = Fastify({ serverFactory: behindFront })
    for (const path of ['/held', '/api/held'])
      app.get(path, async () => {
        held++
        await new Promise<void>((release) => waiting.push(release))
        return {}
      })
    app.post('/*', async () => ({}))
    app.get('/*', async () => ({}))
    cleanups.push(() => app.close())
    return app
  }
  const services = { api: service(), ingress: service() }
  await Promise.all([services.api.ready(), services.ingress.ready()])
  const front = createFront({
    ...services,
    cookies: { domains: [], session: 'fp_session' },
    appOf: (host) => /^app-\w+/.exec(host ?? '')?.[0],
    bounds: createBounds({
      limits: { connections: 1_000, perAddress: 0, perApp: 0, ...limits },
      rates: createApiRates({ perSecond, trusts }),
      trusts,
    }),
  })
  let seen = 0
  const count = (): void => void seen++
  diagnostics.subscribe('http.server.request.start', count)
  cleanups.push(() => diagnostics.unsubscribe('http.server.request.start', count))
  const port = await front.listen({ port: 0, hosts: ['127.0.0.1'] })
  const agent = new Agent({ keepAlive: true })
  const release = (): void => waiting.splice(0).forEach((go) => go())
  cleanups.push(async () => {
    release()
    agent.destroy()
    await front.close({ grace: 0 })
  })
  return {
    port,
    held: () => held,
    release,
    seen: () => seen,
    async get(host, headers = {}) {
      const path = headers['path'] ?? '/'
      const request = httpRequest({ port, host: '127.0.0.1', path, agent, headers: { host, ...headers } })
      request.end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      const body = JSON.parse((await response.toArray()).join('')) as { code?: string }
      return { status: response.statusCode!, code: body.code ?? '', response }
    },
  }
}

const from = (address: string, path = '/'): Record<string, string> => ({ 'x-forwarded-for': address, path })

describe('the front door', () => {
  it('limits the concurrent requests of one address, on all hosts, but not those of another', async () => {
    const world = await start({ perAddress: 3 })
    const under = ['app-a', 'app-b', 'console'].map((host) => world.get(host, from('192.0.2.1', '/held')))
    await expect.poll(world.held).toBe(3)
    const refused = await world.get('app-c', from('192.0.2.1'))
    expect([refused.status, refused.code]).toEqual([429, 'FP_TOO_MANY_REQUESTS'])
    expect(refused.response.headers['retry-after']).toBe('1')
    expect((await world.get('app-c', from('192.0.2.2'))).status).toBe(200)
    world.release()
    await Promise.all(under)
    expect((await world.get('app-c', from('192.0.2.1'))).status).toBe(200)
  })

  it('limits the concurrent requests to one app, however its host is written, but not those to another', async () => {
    const world = await start({ perApp: 2 })
    const under = ['app-a', 'app-a:80'].map((host, n) => world.get(host, from(`192.0.2.${n}`, '/held')))
    await expect.poll(world.held).toBe(2)
    const refused = await world.get('app-a', from('192.0.2.9'))
    expect([refused.status, refused.code]).toEqual([503, 'FP_QUEUE_FULL'])
    expect((await world.get('app-b', from('192.0.2.9'))).status).toBe(200)
    world.release()
    await Promise.all(under)
    expect((await world.get('app-a', from('192.0.2.9'))).status).toBe(200)
  })

  it('gives one address a quarter of an app’s limit, and all clients of this machine the whole limit', async () => {
    const world = await start({ perApp: 8 })
    const under = [0, 1].map(() => world.get('app-a', from('192.0.2.1', '/held')))
    await expect.poll(world.held).toBe(2)
    const refused = await world.get('app-a', from('192.0.2.1'))
    expect([refused.status, refused.code]).toEqual([429, 'FP_TOO_MANY_REQUESTS'])
    expect((await world.get('app-b', from('192.0.2.1'))).status).toBe(200)
    under.push(...Array.from({ length: 6 }, () => world.get('app-a', { path: '/held' })))
    await expect.poll(world.held).toBe(8)
    expect((await world.get('app-a', from('192.0.2.2'))).code).toBe('FP_QUEUE_FULL')
    world.release()
    await Promise.all(under)
    expect((await world.get('app-a', from('192.0.2.1'))).status).toBe(200)
  })

  it('has no limit for the address of this machine, which all local clients share', async () => {
    const world = await start({ perAddress: 2 })
    const under = Array.from({ length: 10 }, (_, n) => world.get(`app-${n}`, { path: '/held' }))
    await expect.poll(world.held).toBe(10)
    expect((await world.get('app-x')).status).toBe(200)
    world.release()
    await Promise.all(under)
  })

  it('does not count requests for apps among those for the API', async () => {
    const world = await start({})
    const ofApps = Array.from({ length: 150 }, (_, n) => world.get(`app-${n}`, from('192.0.2.1', '/held')))
    await expect.poll(world.held).toBe(150)
    const ofApi = Array.from({ length: 100 }, () => world.get('console', from('192.0.2.1', '/api/held')))
    await expect.poll(world.held).toBe(250)
    expect((await world.get('console', from('192.0.2.1', '/api/x'))).status).toBe(429)
    for (const path of ['/', '/_app/immutable/a.js', '/healthz', '/readyz'])
      expect((await world.get('console', from('192.0.2.1', path))).status).toBe(200)
    world.release()
    await Promise.all([...ofApps, ...ofApi])
  })

  it('ends the oldest unfinished request of the strangers at an address when one more comes', async () => {
    const world = await start({})
    const unfinished =
      'POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n'
    const sockets = []
    for (let n = 1; n <= 100; n++) {
      const socket = connect(world.port, '127.0.0.1').on('error', () => undefined)
      cleanups.push(() => socket.destroy())
      socket.write(unfinished)
      sockets.push(socket)
      await expect.poll(world.seen, { interval: 1 }).toBe(n)
    }
    const ended = sockets[0]!.toArray()
    const statuses = []
    for (const path of ['/api/x', '/', '/healthz', '/readyz'])
      statuses.push((await world.get('console', { path })).status)
    expect(statuses).toEqual([200, 200, 200, 200])
    expect((await ended).join('')).toMatch(/^HTTP\/1\.1 408 [^]*connection: close/i)
    expect(sockets.slice(1).some((socket) => socket.closed || socket.readableLength > 0)).toBe(false)
  })

  it('answers too many requests with Retry-After, after a delay, and serves apps meanwhile', async () => {
    const world = await start({}, 1)
    const statuses = []
    for (let n = 0; n < 6; n++)
      statuses.push((await world.get('console', from('192.0.2.1', '/api/x'))).status)
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200])
    const order: string[] = []
    const refused = world.get('console', from('192.0.2.1', '/api/x')).finally(() => order.push('refused'))
    expect((await world.get('app-a', from('192.0.2.1')).finally(() => order.push('app'))).status).toBe(200)
    const { status, code, response } = await refused
    expect([status, code]).toEqual([429, 'FP_TOO_MANY_REQUESTS'])
    expect(response.headers).toMatchObject({
      'retry-after': expect.stringMatching(/^[12]$/),
      'ratelimit-policy': '"api";q=6;w=12',
      ratelimit: expect.stringMatching(/^"api";r=0;t=\d+$/),
    })
    expect(order).toEqual(['app', 'refused'])
  })

  it('sends the remaining rate in every answer of the API', async () => {
    const world = await start({}, 1)
    const { response } = await world.get('console', from('192.0.2.1', '/api/x'))
    expect(response.headers['ratelimit']).toBe('"api";r=5;t=2')
    expect((await world.get('app-a', from('192.0.2.1'))).response.headers['ratelimit']).toBeUndefined()
  })

  it.each([
    ['that wait for answers', 'GET /held HTTP/1.1\r\nhost: app-a\r\n\r\n'],
    ['that are not valid', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n'],
    ['asked too fast', 'GET /api/x HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.1\r\n\r\n'],
  ])('looks at a few of the thousands of requests in one packet: those %s', async (_what, text) => {
    const world = await start({}, 1)
    const socket = connect(world.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(text.repeat(1_000))
    await once(socket.resume(), 'close')
    expect(world.seen()).toBeLessThanOrEqual(17)
    expect((await world.get('app-a')).status).toBe(200)
  })

  it('counts a WebSocket for as long as it is open', async () => {
    const world = await start({ perApp: 1 })
    const socket = connect(world.port, '127.0.0.1')
    socket.write('GET /held HTTP/1.1\r\nhost: app-a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    await expect.poll(world.held).toBe(1)
    expect((await world.get('app-a')).status).toBe(503)
    socket.destroy()
    await expect.poll(async () => (await world.get('app-a')).status).toBe(200)
  })
})
