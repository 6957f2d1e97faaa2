import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { createActivator } from '../activator.ts'
import { FakeClock, FakeDriver, settle } from '../drivers/fake/index.ts'
import type { ScalerError } from '../errors.ts'
import type { Activator } from '../types.ts'
import type { ScalerProxyOptions } from './options.ts'
import { scalerProxy } from './plugin.ts'
import { fallBackTo } from './wake-policies.ts'
import type { WakeDecision, WakePolicy } from './wake.ts'

const HTML = { accept: 'text/html' }

let app: Server
let driver: FakeDriver
let clock: FakeClock
let activator: Activator
let proxy: FastifyInstance
let url: string

beforeEach(async () => {
  app = createServer((_request, response) => response.setHeader('x-scaler-wake', 'mine').end('app'))
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  driver = new FakeDriver()
  clock = new FakeClock()
  activator = await createActivator({ driver, clock })
})
afterEach(async () => {
  await activator.close({ signal: AbortSignal.abort() }).catch(() => undefined)
  await proxy.close()
  app.closeAllConnections()
  app.close()
})

async function start(options: Partial<ScalerProxyOptions>): Promise<void> {
  proxy = Fastify()
  proxy.setErrorHandler((error: ScalerError, _request, reply) =>
    reply.code(error.statusCode).send({ code: error.code }),
  )
  await proxy.register(scalerProxy, {
    activator,
    clock,
    resolve: () => 'app',
    loadingPage: { after: 400, send: (_request, reply) => reply.code(503).send('waking') },
    ...options,
  })
  url = await proxy.listen({ port: 0, host: '127.0.0.1' })
}

function ready(): void {
  const { port } = app.address() as AddressInfo
  driver.emit('app', { ready: [{ id: 'app-1', url: new URL(`http://127.0.0.1:${port}`) }] })
}

const decided =
  (decision: WakeDecision | undefined): WakePolicy =>
  () =>
    decision

/** The parts of a response that show how the request was handled. */
async function told(response: Response): Promise<unknown[]> {
  return [response.status, response.headers.get('x-scaler-wake'), await response.text()]
}

async function waking(): Promise<void> {
  while (!activator.stats('app')?.queued) await settle()
}

describe('a request to a target that sleeps', () => {
  test('is held if no policy makes a decision, and the response header says so', async () => {
    await start({ wakePolicies: [decided(undefined)] })
    const answer = fetch(url)
    await waking()
    ready()
    expect(await told(await answer)).toEqual([200, 'held', 'app'])
  })

  test('is answered if a policy decides so, without waking the target', async () => {
    const answer: WakeDecision = { action: 'answer', statusCode: 201, headers: { 'x-a': '1' }, body: 'so' }
    await start({ wakePolicies: [decided(undefined), decided(answer), decided({ action: 'reject' })] })
    const response = await fetch(url)
    expect(response.headers.get('x-a')).toBe('1')
    expect(await told(response)).toEqual([201, 'answered', 'so'])
    expect(driver.calls).toEqual([])
  })

  test('by HEAD is answered without a body', async () => {
    await start({ wakePolicies: [decided({ action: 'answer', statusCode: 200, body: 'so' })] })
    const response = await fetch(url, { method: 'HEAD' })
    expect(await told(response)).toEqual([200, 'answered', ''])
    expect(response.headers.get('content-length')).toBe('2')
  })

  test('is rejected if a policy decides so, without waking the target', async () => {
    await start({ wakePolicies: [decided({ action: 'reject', retryAfter: 30 })] })
    const response = await fetch(url)
    expect(response.headers.get('retry-after')).toBe('30')
    expect(await told(response)).toEqual([503, 'rejected', '{"code":"SCALER_ASLEEP"}'])
    expect(driver.calls).toEqual([])
  })

  test('is sent elsewhere if a policy decides so, while one request wakes the target', async () => {
    await using elsewhere = createServer(({ url: path, headers }, response) => {
      response.end(`elsewhere ${path} ${headers.host}`)
    })
    elsewhere.listen(0, '127.0.0.1')
    await once(elsewhere, 'listening')
    const { port } = elsewhere.address() as AddressInfo
    await start({ wakePolicies: [fallBackTo(`http://127.0.0.1:${port}`)] })
    const { host } = new URL(url)
    for (const path of ['/a', '/b?c'])
      expect(await told(await fetch(url + path))).toEqual([200, 'fallback', `elsewhere ${path} ${host}`])
    expect(driver.calls).toEqual([{ key: 'app', replicas: 1 }])
    expect(activator.stats('app')).toMatchObject({ phase: 'waking', queued: 1 })
    const post = fetch(url, { method: 'POST' })
    while (activator.stats('app')?.queued !== 2) await settle()
    ready()
    expect(await told(await post)).toEqual([200, 'held', 'app'])
    expect(await told(await fetch(url))).toEqual([200, 'warm', 'app'])
    while (activator.stats('app')?.inFlight !== 0) await settle()
  })

  test('is held after all if the server elsewhere does not accept the connection', async () => {
    const unused = createServer().listen(0, '127.0.0.1')
    await once(unused, 'listening')
    const { port } = unused.address() as AddressInfo
    unused.close()
    await once(unused, 'close')
    await start({ wakePolicies: [fallBackTo(`http://127.0.0.1:${port}`)] })
    const answer = fetch(url)
    while (activator.stats('app')?.queued !== 2) await settle()
    ready()
    expect(await told(await answer)).toEqual([200, 'held', 'app'])
  })

  test('with an unread body is answered, and its connection is closed', async () => {
    await start({ wakePolicies: [decided({ action: 'answer', statusCode: 200 })] })
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) })
    const response = await fetch(url, { method: 'POST', body: endless, duplex: 'half' } as RequestInit)
    expect([response.status, response.headers.get('connection')]).toEqual([200, 'close'])
  })

  test('gets the loading page after its delay, and the wake continues', async () => {
    await start({ wakePolicies: [decided({ action: 'page' })] })
    const answer = fetch(url, { headers: HTML })
    await waking()
    await clock.advance(400)
    expect(await told(await answer)).toEqual([503, 'loading-page', 'waking'])
    expect(activator.stats('app')).toMatchObject({ phase: 'waking', queued: 0 })
    ready()
    expect(await told(await fetch(url, { headers: HTML }))).toEqual([200, 'warm', 'app'])
    expect(driver.calls).toEqual([{ key: 'app', replicas: 1 }])
  })

  test('gets no loading page if the wake is faster', async () => {
    await start({ wakePolicies: [decided({ action: 'page' })] })
    const timers = clock.pending
    const answer = fetch(url, { headers: HTML })
    await waking()
    await clock.advance(399)
    ready()
    expect(await told(await answer)).toEqual([200, 'held', 'app'])
    await activator.sleep('app')
    expect(clock.pending).toBe(timers)
  })

  test('whose wake fails is marked as held', async () => {
    await start({})
    const answer = fetch(url)
    await waking()
    driver.fail('app', { code: 'X', message: 'no' })
    expect(await told(await answer)).toEqual([502, 'held', '{"code":"SCALER_TARGET_FAILED"}'])
  })
})

test('no policy is called while the target is awake, and only the proxy sets the wake header', async () => {
  const asked: IncomingMessage[] = []
  await start({
    wakePolicies: [
      (request) => {
        asked.push(request)
        return { action: 'reject' }
      },
    ],
    wakeHeader: 'x-scaler-wake',
  })
  ready()
  expect(await told(await fetch(url))).toEqual([200, 'warm', 'app'])
  expect(asked).toEqual([])
})

test('a policy gets the key and the phase of the target', async () => {
  const told: unknown[] = []
  await start({ wakePolicies: [(_request, target) => void told.push(target)] })
  const first = fetch(url)
  await waking()
  const second = fetch(url)
  while (activator.stats('app')?.queued !== 2) await settle()
  ready()
  await Promise.all([first, second])
  expect(told).toEqual([
    { key: 'app', phase: 'asleep' },
    { key: 'app', phase: 'waking' },
  ])
})

describe('an upgrade to a target that sleeps', () => {
  test('is refused if a policy rejects it, without waking the target', async () => {
    await start({ wakePolicies: [decided({ action: 'reject' })] })
    const client = new WebSocket(url.replace('http', 'ws'))
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(503)
    expect(driver.calls).toEqual([])
  })

  test.each<WakeDecision>([{ action: 'page' }, { action: 'answer', statusCode: 200 }])(
    'is held where $action is meant for documents',
    async (decision) => {
      new WebSocketServer({ server: app })
      await start({ wakePolicies: [decided(decision)] })
      const client = new WebSocket(url.replace('http', 'ws'))
      await waking()
      ready()
      await once(client, 'open')
      client.terminate()
    },
  )
})
