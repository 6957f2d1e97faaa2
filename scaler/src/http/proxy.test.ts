import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { createActivator, DEFAULT_POLICY } from '../activator.ts'
import { FakeDriver, settle } from '../drivers/fake/index.ts'
import type { Activator } from '../types.ts'
import { ScalerError } from '../errors.ts'
import type { ScalerProxyOptions } from './options.ts'
import { scalerProxy } from './plugin.ts'

/** A real app behind a real proxy. Only the driver is fake. */
interface World {
  driver: FakeDriver
  activator: Activator
  proxy: FastifyInstance
  url: string
  app: Server
  /** The requests that the app has received. */
  seen: IncomingMessage[]
  /** Reports to the activator that the app is ready at its socket. */
  wake(): void
}

let folder: string
let world: World
let counter = 0

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fp-proxy-'))
})
afterEach(async () => {
  await world.activator.close({ signal: AbortSignal.timeout(1) })
  await world.proxy.close()
  world.app.closeAllConnections()
  world.app.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(
  handler: (request: IncomingMessage, response: import('node:http').ServerResponse) => void,
  options: Partial<ScalerProxyOptions> = {},
): Promise<World> {
  const driver = new FakeDriver()
  const activator = await createActivator({ driver, policy: () => ({ ...DEFAULT_POLICY, queueDepth: 5 }) })
  const seen: IncomingMessage[] = []
  const socket = join(folder, 'app.sock')
  const app = createServer((request, response) => {
    seen.push(request)
    handler(request, response)
  })
  app.listen(socket)
  await once(app, 'listening')
  const proxy = Fastify()
  proxy.setErrorHandler((error: Error, _request, reply) => {
    const known = error instanceof ScalerError
    return reply.code(known ? error.statusCode : 500).send({ code: known ? error.code : error.message })
  })
  await proxy.register(scalerProxy, {
    activator,
    resolve: () => Promise.resolve('app'),
    ...options,
  })
  const url = await proxy.listen({ port: 0, host: '127.0.0.1' })
  world = { driver, activator, proxy, url, app, seen, wake }
  return world

  function wake(): void {
    driver.emit('app', { ready: [{ id: `app-${++counter}`, url: new URL(`unix:${socket}`) }] })
  }
}

function untilScaled(driver: FakeDriver): Promise<void> {
  return new Promise((resolve) => {
    driver.onScale = (call) => {
      if (call.replicas > 0) resolve()
    }
  })
}

describe('a request', () => {
  test('to a sleeping target is held, and answered when the target is awake', async () => {
    const { driver, url, wake } = await start((_request, response) => response.end('hello'))
    const scaled = untilScaled(driver)
    const answer = fetch(`${url}/x?y=1`)
    await scaled
    wake()
    const response = await answer
    expect([response.status, await response.text()]).toEqual([200, 'hello'])
    expect(response.headers.get('server-timing')).toMatch(/^wake;dur=/)
  })

  test('keeps its path, Host and headers, and gets forwarding headers that are not the client’s', async () => {
    const { url, wake, seen } = await start((_request, response) => response.end())
    wake()
    await new Promise<void>((resolve) => {
      const { port } = new URL(url)
      httpRequest(
        {
          port,
          path: '//a/%2e%2e/b?q=%20',
          headers: {
            host: 'app-1.example',
            'x-forwarded-for': '6.6.6.6',
            forwarded: 'for=6.6.6.6',
            connection: 'x-drop',
            'x-drop': '1',
          },
        },
        (response) => response.resume().once('end', resolve),
      ).end()
    })
    // An unusual path must arrive exactly as the client sent it.
    const headers = seen[0]?.headers
    if (headers) {
      expect(headers.host).toBe('app-1.example')
      expect(headers['x-forwarded-for']).toBe('127.0.0.1')
      expect(headers.forwarded).toBeUndefined()
      expect(headers['x-drop']).toBeUndefined()
    }
    await fetch(`${url}/a//b/%7Ec?d=e%20f`)
    expect(seen.at(-1)?.url).toBe('/a//b/%7Ec?d=e%20f')
  })

  test('whose app answers 503 gets that 503, once', async () => {
    const { url, wake, seen } = await start((_request, response) =>
      response.writeHead(503, { 'retry-after': '9' }).end('busy'),
    )
    wake()
    const response = await fetch(url)
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([
      503,
      '9',
      'busy',
    ])
    expect(seen).toHaveLength(1)
  })

  test('rule 11: the body is not read before an endpoint is ready', async () => {
    const { driver, url, wake } = await start((request, response) => {
      let size = 0
      request
        .on('data', (chunk: Buffer) => (size += chunk.length))
        .on('end', () => response.end(String(size)))
    })
    const scaled = untilScaled(driver)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    let sent = 0
    const total = 512
    let pausedAt = 0
    const answer = new Promise<string>((resolve, reject) => {
      const upload = httpRequest(url, { method: 'POST' }, (response) => {
        let text = ''
        response
          .setEncoding('utf8')
          .on('data', (part: string) => (text += part))
          .on('end', () => resolve(text))
      })
      upload.on('error', reject)
      const push = (): void => {
        while (sent < total) {
          sent++
          if (!upload.write(chunk)) {
            pausedAt = sent
            upload.once('drain', push)
            return
          }
        }
        upload.end()
      }
      push()
    })
    await scaled
    await settle()
    // Socket buffers hold a few MB; a proxy that reads the body would have read all 32.
    const heldAt = pausedAt
    expect(heldAt).toBeLessThan(total)
    wake()
    expect(await answer).toBe(String(total * chunk.length))
  })

  test('rule 10: after a refused connection, the request with its body goes to another endpoint', async () => {
    const { driver, url, wake, seen, activator } = await start((request, response) => {
      request.resume().once('end', () => response.end('second'))
    })
    driver.emit('app', { ready: [{ id: 'gone', url: new URL(`unix:${join(folder, 'nobody.sock')}`) }] })
    driver.onProbe = ({ id }) => id !== 'gone'
    const woken = untilScaled(driver).then(wake)
    const response = await fetch(url, { method: 'POST', body: 'payload' })
    await woken
    expect(await response.text()).toBe('second')
    expect(seen).toHaveLength(1)
    expect(activator.stats('app')?.endpoints).toBe(1)
  })

  test('rule 10: that was already sent to an endpoint is answered with an error, not sent again', async () => {
    const { url, wake, seen } = await start((request) => request.socket.destroy())
    wake()
    const response = await fetch(url, { method: 'GET' })
    expect([response.status, await response.json()]).toEqual([502, { code: 'SCALER_UPSTREAM_RESET' }])
    expect(seen).toHaveLength(1)
  })

  test('without a response in time gets 504, and its lease is released', async () => {
    const { url, wake, activator } = await start(() => undefined, { responseTimeout: 50 })
    wake()
    const response = await fetch(url)
    expect([response.status, await response.json()]).toEqual([504, { code: 'SCALER_UPSTREAM_TIMEOUT' }])
    expect(activator.stats('app')?.inFlight).toBe(0)
  })

  test('whose client disconnects is aborted at the app, and its lease is released', async () => {
    let arrived = (): void => undefined
    const inApp = new Promise<void>((resolve) => (arrived = resolve))
    let closed = (): void => undefined
    const gone = new Promise<void>((resolve) => (closed = resolve))
    const { url, wake, activator } = await start((_request, response) => {
      response.once('close', () => closed())
      arrived()
    })
    wake()
    const abort = new AbortController()
    const answer = fetch(url, { signal: abort.signal }).catch(() => undefined)
    await inApp
    expect(activator.stats('app')?.inFlight).toBe(1)
    abort.abort()
    await Promise.all([answer, gone])
    await settle()
    expect(activator.stats('app')?.inFlight).toBe(0)
  })

  test('whose client disconnects during the wake leaves the queue; the wake continues', async () => {
    const { driver, url, activator } = await start((_request, response) => response.end())
    const scaled = untilScaled(driver)
    const abort = new AbortController()
    const answer = fetch(url, { signal: abort.signal }).catch((error: Error) => error.name)
    await scaled
    expect(activator.stats('app')?.queued).toBe(1)
    abort.abort()
    expect(await answer).toBe('AbortError')
    await waitFor(() => activator.stats('app')?.queued === 0)
    expect(activator.stats('app')?.phase).toBe('waking')
    expect(driver.calls).toEqual([{ key: 'app', replicas: 1 }])
  })

  test('to a failed target is answered immediately with the failure', async () => {
    const { driver, url } = await start((_request, response) => response.end())
    const scaled = untilScaled(driver)
    const answer = fetch(url)
    await scaled
    driver.fail('app', { code: 'X', message: 'no' })
    const response = await answer
    expect([response.status, await response.json()]).toEqual([502, { code: 'SCALER_TARGET_FAILED' }])
  })

  test('streams: each event arrives before the next is sent', async () => {
    let next = (): void => undefined
    const { url, wake } = await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      next = () => response.end('data: 2\n\n')
    })
    wake()
    const response = await fetch(url)
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader.read()).value).toBe('data: 1\n\n')
    expect(world.activator.stats('app')?.inFlight).toBe(1)
    next()
    expect((await reader.read()).value).toBe('data: 2\n\n')
  })

  test('with HEAD, with OPTIONS and with a 204 response is proxied', async () => {
    const { url, wake } = await start((request, response) => {
      if (request.method === 'OPTIONS') response.writeHead(204, { allow: 'GET' }).end()
      else response.setHeader('content-length', '5').end(request.method === 'HEAD' ? undefined : 'hello')
    })
    wake()
    const head = await fetch(url, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '5'])
    const options = await fetch(url, { method: 'OPTIONS' })
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET'])
  })

  test('to a target that was just retired goes to its successor', async () => {
    const keys = ['old', 'app']
    const { driver, url, activator } = await start((_request, response) => response.end('new'), {
      resolve: () => Promise.resolve(keys.shift() ?? 'app'),
    })
    const waiting = untilScaled(driver)
    const answer = fetch(url)
    await waiting
    const woken = untilScaled(driver).then(() => world.wake())
    await activator.retire('old')
    await woken
    expect(await (await answer).text()).toBe('new')
  })
})

describe('the loading page', () => {
  test('is sent after its delay to the requests it applies to, and the wake continues', async () => {
    const { driver, url, activator } = await start((_request, response) => response.end('app'), {
      wakePolicies: [(request) => (request.headers.accept === 'text/html' ? { action: 'page' } : undefined)],
      loadingPage: {
        after: 1,
        send: (_request, reply) => reply.code(503).send('waking'),
      },
    })
    const page = await fetch(url, { headers: { accept: 'text/html' } })
    expect([page.status, await page.text()]).toEqual([503, 'waking'])
    expect(activator.stats('app')?.phase).toBe('waking')
    const held = fetch(url)
    world.wake()
    expect(await (await held).text()).toBe('app')
    expect(driver.calls.filter((call) => call.replicas > 0)).toHaveLength(1)
    const warm = await fetch(url, { headers: { accept: 'text/html' } })
    expect(await warm.text()).toBe('app')
  })
})

describe('a WebSocket', () => {
  test('is held while the target wakes, passes frames and close codes, and is not idle while open', async () => {
    const { driver, url, wake, app, activator } = await start((_request, response) => response.end())
    const server = new WebSocketServer({ server: app })
    server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
    const scaled = untilScaled(driver)
    const client = new WebSocket(url.replace('http', 'ws'), ['chat'])
    await scaled
    wake()
    await once(client, 'open')
    expect(client.protocol).toBe('chat')
    client.send('hi')
    expect(String((await once(client, 'message'))[0])).toBe('hi')
    expect(activator.stats('app')?.inFlight).toBe(1)
    expect(await activator.sleep('app')).toBe(false)
    for (const socket of server.clients) socket.close(4001, 'bye')
    const [code, reason] = (await once(client, 'close')) as [number, Buffer]
    expect([code, String(reason)]).toEqual([4001, 'bye'])
    await waitFor(() => activator.stats('app')?.inFlight === 0)
  })

  test('that the app refuses gets the response of the app', async () => {
    const { url, wake, app } = await start((_request, response) => response.end())
    app.on('upgrade', (_request, socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno'),
    )
    wake()
    const client = new WebSocket(url.replace('http', 'ws'))
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(403)
  })

  test('of a failed target is refused', async () => {
    const { driver, url } = await start((_request, response) => response.end())
    const scaled = untilScaled(driver)
    const client = new WebSocket(url.replace('http', 'ws'))
    const refused = once(client, 'unexpected-response')
    await scaled
    driver.fail('app', { code: 'X', message: 'no' })
    const [, response] = (await refused) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(502)
  })

  test('whose client disappears releases its lease', async () => {
    const { url, wake, app, activator } = await start((_request, response) => response.end())
    new WebSocketServer({ server: app })
    wake()
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(String(head)).toMatch(/^HTTP\/1\.1 101 /)
    expect(activator.stats('app')?.inFlight).toBe(1)
    socket.destroy()
    await waitFor(() => activator.stats('app')?.inFlight === 0)
  })
})

/** Waits for the effect of events on other sockets, up to the time limit of the test. */
async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await settle()
}
