import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { UNBOUNDED } from '../../test/unbounded.ts'
import { behindFront, createFront, type Front } from './front.ts'

const UPGRADE = 'connection: upgrade\r\nupgrade: websocket\r\n'
const appOf = (host: string | undefined): string | undefined => (host?.startsWith('app-') ? host : undefined)
const cookies = { domains: ['fp.example.org', 'example.org'], session: 'fp_session' }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function service(name: string): FastifyInstance {
  const app = Fastify({ serverFactory: behindFront, bodyLimit: 100 })
  app.all('/*', async ({ url: path, host, body = null }) => ({ name, path, host, body }))
  cleanups.push(() => app.close())
  return app
}

async function start(
  prepare: (services: { api: FastifyInstance; ingress: FastifyInstance }) => void = () => undefined,
): Promise<{ front: Front; port: number }> {
  const services = { api: service('api'), ingress: service('ingress') }
  prepare(services)
  await Promise.all([services.api.ready(), services.ingress.ready()])
  const front = createFront({ ...services, appOf, bounds: UNBOUNDED, cookies })
  const port = await front.listen({ port: 0, hosts: ['127.0.0.1'] })
  cleanups.push(() => front.close({ grace: 0 }))
  return { front, port }
}

async function get(
  port: number,
  host: string,
  options: { headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; body: string; response: IncomingMessage }> {
  const method = options.body === undefined ? 'GET' : 'POST'
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    method,
    path: '/x?y=1',
    headers: { host, ...options.headers },
  })
  request.end(options.body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: (await response.toArray()).join(''), response }
}

/** Sends raw bytes and resolves to all that comes back. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  return (await socket.toArray()).join('')
}

describe('the front', () => {
  it('sends app hosts to the ingress and every other host to the API', async () => {
    const { port } = await start()
    expect(JSON.parse((await get(port, 'app-abc.localhost')).body)).toMatchObject({
      name: 'ingress',
      path: '/x?y=1',
    })
    for (const host of ['localhost', '127.0.0.1:80', 'unknown.example']) {
      expect(JSON.parse((await get(port, host)).body)).toMatchObject({ name: 'api' })
    }
  })

  it('answers its liveness probe itself, whatever its limits, but not on an app’s host', async () => {
    const services = { api: service('api'), ingress: service('ingress') }
    await Promise.all([services.api.ready(), services.ingress.ready()])
    const full = { ...UNBOUNDED, admit: () => undefined }
    const front = createFront({ ...services, appOf, bounds: full, cookies })
    const port = await front.listen({ port: 0, hosts: ['127.0.0.1'] })
    cleanups.push(() => front.close({ grace: 0 }))
    const ask = (host: string): Promise<string> =>
      raw(port, `GET /healthz/gate HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
    expect(await ask('10.42.0.7:8080')).toMatch(/^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/)
    expect(await ask('app-abc.localhost')).toBe('')
  })

  it('uses the host of an absolute target, not the Host header', async () => {
    const { port } = await start()
    const named = async (target: string, host: string): Promise<unknown> => {
      const text = await raw(port, `GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
      return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
    }
    expect(await named('http://app-a.localhost/x?y', 'localhost')).toMatchObject({
      name: 'ingress',
      path: '/x?y',
      host: 'app-a.localhost',
    })
    expect(await named('http://localhost/x', 'app-a.localhost')).toMatchObject({
      name: 'api',
      path: '/x',
      host: 'localhost',
    })
  })

  it.each([
    ['two Hosts', 'GET / HTTP/1.1\r\nhost: x\r\nhost: app-a.x\r\n'],
    ['two equal Hosts', 'GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n'],
    ['two Hosts, one of them first in the target', 'GET http://x/ HTTP/1.1\r\nhost: x\r\nhost: y\r\n'],
    ['two Hosts on an upgrade', `GET / HTTP/1.1\r\nhost: app-a.x\r\nhost: y\r\n${UPGRADE}`],
    ['two Hosts on an upgrade of the API', `GET / HTTP/1.1\r\nhost: y\r\nhost: app-a.x\r\n${UPGRADE}`],
    [
      'two Hosts and Expect',
      'POST / HTTP/1.1\r\nhost: x\r\nhost: y\r\nexpect: 100-continue\r\ncontent-length: 2\r\n',
    ],
    ['no Host', 'GET / HTTP/1.1\r\n'],
    ['no Host on an upgrade', `GET / HTTP/1.1\r\n${UPGRADE}`],
    ['a Host with a path', 'GET / HTTP/1.1\r\nhost: x/y\r\n'],
    ['a Host with a user', 'GET / HTTP/1.1\r\nhost: u@x\r\n'],
    ['a list of Hosts', 'GET / HTTP/1.1\r\nhost: x, y\r\n'],
    ['a target of another scheme', 'GET ftp://x/ HTTP/1.1\r\nhost: x\r\n'],
    ['a target with a user', 'GET http://u@x/ HTTP/1.1\r\nhost: x\r\n'],
  ])('refuses a request with %s, whoever it is for', async (_name, head) => {
    const served: unknown[] = []
    const { port } = await start((services) => {
      for (const { server } of Object.values(services))
        for (const event of ['request', 'upgrade', 'checkContinue'])
          server.prependListener(event, (request: IncomingMessage) => served.push(request.url))
    })
    const text = await raw(port, `${head}\r\n`)
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(served).toEqual([])
  })

  it('gives its own refusals a request id too', async () => {
    const { port } = await start()
    for (const bytes of [
      'hello\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\nx-request-id: mine\r\n\r\n',
    ]) {
      const [head = '', body = ''] = (await raw(port, bytes)).split('\r\n\r\n')
      const { request_id: id } = JSON.parse(body) as { request_id: string }
      expect(id).toMatch(/^req_/)
      expect(head).toContain(`x-request-id: ${id}`)
    }
  })

  it('passes bodies on, and each service has its own limits', async () => {
    const { port } = await start()
    const headers = { 'content-type': 'application/json' }
    expect(JSON.parse((await get(port, 'x', { headers, body: '{"a":1}' })).body).body).toEqual({ a: 1 })
    expect((await get(port, 'x', { headers, body: JSON.stringify('a'.repeat(200)) })).status).toBe(413)
  })

  it('answers Expect: 100-continue', async () => {
    const { port } = await start()
    const text = await raw(
      port,
      'POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    )
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/)
  })

  it('passes an upgrade to a service that supports it, and a plain request to one that does not', async () => {
    const { port } = await start(({ ingress }) => {
      ingress.server.on('upgrade', (_request, socket) => {
        socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello')
      })
    })
    const upgrade = (host: string): string =>
      `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`
    expect(await raw(port, upgrade('app-a.localhost'))).toMatch(/101 Switching.*hello$/s)
    const plain = connect(port, '127.0.0.1')
    plain.write(upgrade('localhost'))
    const [chunk] = (await once(plain, 'data')) as [Buffer]
    plain.destroy()
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 .*"name":"api"/s)
  })

  it.each([
    ['the liveness probe', 'GET /healthz/gate', 'localhost', ''],
    ['the API', 'GET /x', 'localhost', ''],
    ['the API, with a body', 'POST /x', 'localhost', '{}'],
    ['an app that knows no upgrades', 'GET /x', 'app-a.localhost', ''],
  ])('closes the connection after an upgrade that %s ignores', async (_who, line, host, body) => {
    const { port } = await start()
    const head = `${line} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`
    const text = await raw(port, `${head}${UPGRADE}\r\n${body}${head}\r\n${body}`)
    expect(text).toMatch(/^HTTP\/1\.1 200 [^]*connection: close\r\n/i)
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  })

  it('answers what is not HTTP, and headers that are too large', async () => {
    const { port } = await start()
    expect(await raw(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*FP_BAD_REQUEST/s)
    const headers = (bytes: string): string =>
      `GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${bytes}\r\n`
    expect(await raw(port, headers(`x: ${'a'.repeat(63_000)}\r\n`))).toMatch(/^HTTP\/1\.1 200 /)
    expect(await raw(port, headers(`x: ${'a'.repeat(66_000)}\r\n`))).toMatch(
      /^HTTP\/1\.1 431 .*FP_HEADERS_TOO_LARGE.*64 KB/s,
    )
    expect(await raw(port, headers('a: 1\r\n'.repeat(198)))).toMatch(/^HTTP\/1\.1 200 /)
    expect(await raw(port, headers('a: 1\r\n'.repeat(199)))).toMatch(/^HTTP\/1\.1 431 .*200 lines/s)
  })

  it('answers HTTP/2 without an upgrade in HTTP/1.1, names its version, and closes', async () => {
    const { port } = await start()
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00'
    expect(await raw(port, preface)).toMatch(/^HTTP\/1\.1 505 .*FP_HTTP_VERSION.*HTTP\/1\.1/s)
  })

  it('distinguishes an unknown method from bytes that are not HTTP', async () => {
    const { port } = await start()
    expect(await raw(port, 'BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 501 .*FP_METHOD_NOT_IMPLEMENTED/s,
    )
    expect(await raw(port, 'BR\x01W /pot HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('closes after running requests were answered', async () => {
    const held = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const { front, port } = await start(({ api }) => {
      api.addHook('onRequest', async () => {
        arrived.resolve()
        await held.promise
      })
    })
    const answer = get(port, 'x', { headers: { connection: 'keep-alive' } })
    await arrived.promise
    const closed = front.close({ grace: 10_000 })
    await expect(get(port, 'x')).rejects.toThrow('ECONNREFUSED')
    held.resolve()
    expect((await answer).status).toBe(200)
    await closed
  })

  it('keeps serving until `quiet` settles, and makes each client use another connection', async () => {
    const { front, port } = await start()
    const quiet = Promise.withResolvers<void>()
    const kept = await get(port, 'x', { headers: { connection: 'keep-alive' } })
    expect(kept.response.headers.connection).toBe('keep-alive')
    const closed = front.close({ quiet: quiet.promise, grace: 10_000 })
    const late = await get(port, 'x', { headers: { connection: 'keep-alive' } })
    expect([late.status, late.response.headers.connection]).toEqual([200, 'close'])
    quiet.resolve()
    await closed
    await expect(get(port, 'x')).rejects.toThrow('ECONNREFUSED')
  })

  it('lets the service decide which upgrades it accepts', async () => {
    const { port } = await start(({ ingress }) => {
      Object.assign(ingress.server, { shouldUpgradeCallback: () => false })
      ingress.server.on('upgrade', (_request, socket) => socket.destroy())
    })
    const socket = connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: app-a.localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n')
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(String(head)).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  it('refuses to be a tunnel', async () => {
    const { port } = await start()
    const answer = await raw(
      port,
      'CONNECT app-a.localhost:443 HTTP/1.1\r\nhost: app-a.localhost:443\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 405 /)
  })

  it('closes hanging connections after the grace period, also upgraded ones', async () => {
    const upgraded = Promise.withResolvers<void>()
    const { front, port } = await start(({ ingress }) => {
      ingress.server.on('upgrade', () => upgraded.resolve())
    })
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nhost: app-a.x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
    await upgraded.promise
    await front.close({ grace: 0 })
    if (!socket.closed) await once(socket, 'close')
  })

  it('says what to do when the port is taken', async () => {
    const { port } = await start()
    const { api, ingress } = { api: service('api'), ingress: service('ingress') }
    await Promise.all([api.ready(), ingress.ready()])
    const second = createFront({ api, ingress, appOf, bounds: UNBOUNDED, cookies })
    await expect(second.listen({ port, hosts: ['127.0.0.1'] })).rejects.toThrow(/in use.*FP_PORT/)
  })
})
