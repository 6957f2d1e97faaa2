import {
  createActivator,
  createMemoryCoordination,
  DEFAULT_POLICY,
  ScalerError,
  type Activator,
} from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, test, vi } from 'vitest'
import { createAppChanges } from '../app-changes.ts'
import { errorPage, logFailure, publicError } from './failures.ts'
import { FpError } from '../errors.ts'
import { appIdOf } from './host.ts'
import { createIngress } from './ingress.ts'
import type { Route } from '../modules/app-records/directory.ts'
import { createRouteTable } from './routes.ts'
import { trusts } from './trust.ts'

describe('the app that a host names', () => {
  test.each([
    ['app-abc1.localhost:8080', 'localhost:8080', 'abc1'],
    ['APP-ABC1.LocalHost', 'localhost:8080', 'abc1'],
    ['app-abc1.apps.example.com', 'apps.example.com', 'abc1'],
    ['app-abc1.localhost.', 'localhost:8080', 'abc1'],
    ['localhost:8080', 'localhost:8080', undefined],
    ['app-.localhost', 'localhost', undefined],
    ['app-a.b.localhost', 'localhost', undefined],
    ['app-abc1.localhost.evil.com', 'localhost', undefined],
    ['xapp-abc1.localhost', 'localhost', undefined],
    ['app-abc_1.localhost', 'localhost', undefined],
    [undefined, 'localhost', undefined],
  ])('%s under %s is %s', (host, domain, id) => {
    expect(appIdOf(host, domain)).toBe(id)
  })
})

describe('the route table', () => {
  const route = (key: string | null, idleTimeout = 1000): Route => ({
    appId: 'a',
    ownerId: 'u',
    key,
    idleTimeout,
  })

  test('looks an app up once, and again after a change', async () => {
    const changes = createAppChanges()
    const lookup = vi.fn(async () => route('a.1.0'))
    const table = createRouteTable({ lookup, changes, defaultIdleTimeout: 5 })
    expect([await table.keyOf('a'), await table.keyOf('a')]).toEqual(['a.1.0', 'a.1.0'])
    expect(lookup).toHaveBeenCalledTimes(1)
    lookup.mockResolvedValue(route('a.2.1'))
    changes.emit('routed', { appId: 'a' })
    expect(await table.keyOf('a')).toBe('a.2.1')
  })

  test('does not use a lookup during which the target changed', async () => {
    const changes = createAppChanges()
    let answer = (_: Route): void => undefined
    const lookup = vi.fn(() => new Promise<Route>((resolve) => (answer = resolve)))
    const table = createRouteTable({ lookup, changes, defaultIdleTimeout: 5 })
    const asked = table.keyOf('a')
    const stale = answer
    changes.emit('routed', { appId: 'a' })
    stale(route('a.1.0'))
    await expect.poll(() => lookup.mock.calls.length).toBe(2)
    answer(route('a.2.0'))
    expect(await asked).toBe('a.2.0')
  })

  test('caches no apps that do not exist, and uses each app’s idle timeout', async () => {
    const changes = createAppChanges()
    const lookup = vi.fn(async (): Promise<Route | undefined> => undefined)
    const table = createRouteTable({ lookup, changes, defaultIdleTimeout: 5, maxReplicas: 5 })
    await expect(table.keyOf('a')).rejects.toMatchObject({ code: 'FP_APP_NOT_FOUND' })
    expect(table.policyOf('a.1.0')).toEqual({ ...DEFAULT_POLICY, idleTimeout: 5, maxReplicas: 5 })
    lookup.mockResolvedValue(route('a.1.0', 7000))
    expect(await table.keyOf('a')).toBe('a.1.0')
    expect(table.policyOf('a.1.0').idleTimeout).toBe(7000)
    expect(table.policyOf('a.1.0').maxReplicas).toBe(5)
    lookup.mockResolvedValue({ ...route('a.1.1'), maxReplicas: 1 })
    changes.emit('routed', { appId: 'a' })
    expect(await table.keyOf('a')).toBe('a.1.1')
    expect(table.policyOf('a.1.1').maxReplicas).toBe(1)
    changes.emit('deleted', { appId: 'a' })
    expect(table.policyOf('a.1.0').idleTimeout).toBe(5)
  })

  test('removes the app that was looked up longest ago, and looks it up again', async () => {
    const lookup = async (appId: string): Promise<Route> => ({ ...route(`${appId}.1.0`, 7000), appId })
    const table = createRouteTable({ lookup, changes: createAppChanges(), defaultIdleTimeout: 5 })
    for (let n = 0; n <= 10_000; n++) await table.keyOf(`app${n}`)
    expect(table.policyOf('app0.1.0').idleTimeout).toBe(5)
    expect(table.policyOf('app1.1.0').idleTimeout).toBe(7000)
    expect(await table.keyOf('app0')).toBe('app0.1.0')
    expect(table.policyOf('app0.1.0').idleTimeout).toBe(7000)
    expect(table.policyOf('app1.1.0').idleTimeout).toBe(5)
  })
})

test('the route table knows the owner of a target, without waiting after the first lookup', async () => {
  const lookup = vi.fn(async (appId: string): Promise<Route | undefined> =>
    appId === 'a' ? { appId, ownerId: 'u', key: null, idleTimeout: 5 } : undefined,
  )
  const table = createRouteTable({ lookup, changes: createAppChanges(), defaultIdleTimeout: 5 })
  expect(await table.ownerOf('a.1.1')).toBe('u')
  expect(table.ownerOf('a.2.2')).toBe('u')
  expect(await table.ownerOf('gone.1.1')).toBe('gone')
})

describe('the route table of one of several replicas', () => {
  test('looks an app up again if its known target is retired, once for all requests', async () => {
    let answer = (_: Route): void => undefined
    const lookup = vi.fn(() => new Promise<Route>((resolve) => (answer = resolve)))
    const table = createRouteTable({ lookup, changes: createAppChanges(), defaultIdleTimeout: 5 })
    const first = table.keyOf('a')
    answer({ appId: 'a', ownerId: 'u', key: 'a.1.1', idleTimeout: 5 })
    await first
    expect(table.keyOf('a')).toBe('a.1.1')
    const again = [table.keyOf('a', 'a.1.1'), table.keyOf('a', 'a.1.1'), table.keyOf('a')]
    answer({ appId: 'a', ownerId: 'u', key: 'a.2.2', idleTimeout: 5 })
    expect(await Promise.all(again)).toEqual(['a.2.2', 'a.2.2', 'a.2.2'])
    expect(lookup).toHaveBeenCalledTimes(2)
    // A late report about a target that is no longer cached.
    expect(table.keyOf('a', 'a.1.1')).toBe('a.2.2')
  })

  test('clears its cache when changes may have been missed', async () => {
    const changes = createAppChanges()
    const lookup = vi.fn(async (): Promise<Route> => ({
      appId: 'a',
      ownerId: 'u',
      key: 'a.1.1',
      idleTimeout: 5,
    }))
    const table = createRouteTable({ lookup, changes, defaultIdleTimeout: 5 })
    await table.keyOf('a')
    changes.emit('lost')
    await table.keyOf('a')
    expect(lookup).toHaveBeenCalledTimes(2)
  })

  test('loses no request when another replica retires the target that it routes to', async () => {
    const app = createServer((_request, response) => void response.end('the new one')).listen(0, '127.0.0.1')
    await once(app, 'listening')
    const url = new URL(`http://127.0.0.1:${(app.address() as AddressInfo).port}`)
    const driver = new FakeDriver()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.emit(key, { ready: [{ id: `${key}-1`, url }] })
    }
    const coordination = createMemoryCoordination()
    const [there, here] = await Promise.all([
      createActivator({ driver, coordination }),
      createActivator({ driver, coordination }),
    ])
    let live = 'a.1.1'
    const { fastify: ingress } = await front(here, async () => ({
      appId: 'a',
      ownerId: 'u',
      key: live,
      idleTimeout: 1000,
    }))
    const get = (): Promise<LightMyRequestResponse> =>
      ingress.inject({ url: '/', headers: { host: 'app-a.localhost' } })
    expect((await get()).statusCode).toBe(200)

    live = 'a.2.2'
    const busy = await here.acquire('a.1.1')
    const retired = there.retire('a.1.1')
    const mayEnter = (): boolean => {
      using lease = here.tryAcquire('a.1.1')
      return lease !== undefined
    }
    await expect.poll(mayEnter).toBe(false)
    const answer = await get()
    expect([answer.statusCode, answer.body]).toEqual([200, 'the new one'])
    expect(driver.calls.filter(({ replicas }) => replicas > 0).map(({ key }) => key)).toEqual([
      'a.1.1',
      'a.2.2',
    ])
    busy.release()
    await retired
    await ingress.close()
    await Promise.all([here.close(), there.close()])
    app.close()
  })
})

/** The ingress with an activator. */
async function front(
  activator: Activator,
  lookup: (appId: string) => Promise<Route>,
): Promise<{ fastify: FastifyInstance }> {
  const fastify = await createIngress({
    activator,
    routes: createRouteTable({ lookup, changes: createAppChanges(), defaultIdleTimeout: 5 }),
    appDomain: 'localhost',
    trustProxy: () => false,
    responseTimeout: 1000,
    serverFactory: (handler) => createServer((request, response) => void handler(request, response)),
    registry: new Registry(),
    log: pino({ level: 'silent' }),
  })
  // In an object, because a Fastify instance is thenable.
  return { fastify }
}

describe('a sleeping app', () => {
  test('is not woken by a monitor or for a favicon, but by a program', async () => {
    const driver = new FakeDriver()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, { code: 'FP_APP_CRASHED', message: 'no' })
    }
    const activator = await createActivator({ driver })
    const { fastify: ingress } = await front(activator, async () => ({
      appId: 'a',
      ownerId: 'u',
      key: 'a.1.0',
      idleTimeout: 1000,
    }))
    const get = (url: string, agent: string): Promise<LightMyRequestResponse> =>
      ingress.inject({ url, headers: { host: 'app-a.localhost', 'user-agent': agent } })

    const monitor = await get('/', 'Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)')
    expect([monitor.statusCode, monitor.headers['x-fp-wake'], monitor.body]).toEqual([
      200,
      'answered',
      'asleep\n',
    ])
    expect((await get('/favicon.ico', 'Mozilla/5.0')).statusCode).toBe(204)
    expect(driver.calls).toEqual([])
    const program = await get('/', 'curl/8')
    expect([program.statusCode, program.headers['x-fp-wake']]).toEqual([502, 'held'])
    expect(driver.calls[0]).toEqual({ key: 'a.1.0', replicas: 1 })
    await ingress.close()
    await activator.close()
  })
})

describe('an answer of the front door itself', () => {
  test.each([
    ['to a request whose app cannot start', 'GET / HTTP/1.1', ''],
    ['to a WebSocket of such an app', 'GET / HTTP/1.1', 'upgrade: websocket\r\n'],
    ['to a path that is none', 'GET /%zz HTTP/1.1', ''],
  ])('has an id of ours, %s', async (_name, start, lines) => {
    const driver = new FakeDriver()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, { code: 'FP_APP_CRASHED', message: 'no' })
    }
    const activator = await createActivator({ driver })
    const { fastify: ingress } = await front(activator, async () => ({
      appId: 'a',
      ownerId: 'u',
      key: 'a.1.0',
      idleTimeout: 1000,
    }))
    const { port } = new URL(await ingress.listen({ port: 0, host: '127.0.0.1' }))
    const socket = connect(Number(port), '127.0.0.1')
    const connection = lines ? 'upgrade, x-request-id' : 'close, x-request-id'
    socket.write(
      `${start}\r\nhost: app-a.localhost\r\nx-request-id: mine\r\nconnection: ${connection}\r\n${lines}\r\n`,
    )
    const [head = '', body = ''] = (await socket.toArray()).join('').split('\r\n\r\n')
    const { request_id: id } = JSON.parse(body) as { request_id: string }
    expect(id).toMatch(/^req_/)
    expect(head.match(/x-request-id: .*/gi)).toEqual([`x-request-id: ${id}`])
    await ingress.close()
    await activator.close()
  })
})

describe('the error that a visitor gets', () => {
  test('never contains texts of the app', () => {
    const failure = {
      code: 'FP_APP_IMPORT_FAILED',
      message: "KeyError: 'secret'",
      details: { traceback: 'secret' },
    }
    const told = publicError(new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure }))
    expect([told.code, told.statusCode]).toEqual(['FP_APP_CRASHED', 502])
    expect(JSON.stringify([told.message, errorPage(told, 'req-1')])).not.toContain('secret')
  })

  test('does not blame the app for faults of the cluster or the sandbox', () => {
    const failure = { code: 'FP_CLUSTER_FULL', message: 'No node 10.0.0.7 has room.' }
    const told = publicError(new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure }))
    expect([told.code, told.statusCode, told.headers['retry-after']]).toEqual(['FP_UNAVAILABLE', 503, '5'])
    expect(told.message).not.toContain('10.0.0.7')
  })

  test('has Retry-After if a retry may succeed', () => {
    const told = publicError(new ScalerError('SCALER_QUEUE_FULL', 'full', { retryAfter: 1 }))
    expect([told.statusCode, told.headers['retry-after']]).toEqual([503, '1'])
  })

  test('is escaped on the page', () => {
    expect(errorPage(new FpError('FP_BAD_REQUEST', '<script>'), '"id"')).not.toContain('<script>')
  })
})

describe('the log', () => {
  const reset = new ScalerError('SCALER_UPSTREAM_RESET', 'The app closed the connection.')
  const failed = (code: string): ScalerError =>
    new ScalerError('SCALER_TARGET_FAILED', 'why', { failure: { code, message: 'why' } })

  test.each([
    ['a failed request to an app', reset, { level: 30, code: 'SCALER_UPSTREAM_RESET' }],
    [
      'a request to an app that cannot start',
      failed('FP_APP_CRASHED'),
      { level: 20, code: 'FP_APP_CRASHED' },
    ],
  ])('has no stack for %s', (_name, error, line) => {
    const about = { msg: 'what', request_id: 'req_1', host: 'app-a.localhost' }
    expect(logged(error)).toEqual({ ...about, ...line, reason: error.message })
  })

  test.each([
    ['an error that nobody expected', new TypeError('bug')],
    ['a driver that throws', failed('SCALER_SCALE_FAILED')],
    ['a cluster without room', failed('FP_CLUSTER_FULL')],
  ])('has the stack of %s', (_name, error) => {
    expect(logged(error)).toMatchObject({ level: 40, msg: 'what', err: { stack: expect.any(String) } })
  })

  function logged(error: Error): unknown {
    const lines: unknown[] = []
    const to = { write: (line: string) => lines.push(JSON.parse(line)) }
    const request = { request_id: 'req_1', host: 'app-a.localhost' }
    const log = pino({ base: null, timestamp: false, level: 'debug' }, to)
    logFailure(log, error, { message: 'what', request })
    expect(lines).toHaveLength(1)
    return lines[0]
  }
})

test('only the configured proxies are trusted', () => {
  const trust = trusts(['10.0.0.0/8', '::1'])
  expect(['10.1.2.3', '::ffff:10.1.2.3', '::1', '11.0.0.1', ''].map(trust)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ])
  expect(trusts(false)('127.0.0.1')).toBe(false)
})
