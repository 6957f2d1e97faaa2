import { createActivator, DEFAULT_POLICY, ScalerError } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import type { LightMyRequestResponse } from 'fastify'
import { createServer } from 'node:http'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, test, vi } from 'vitest'
import { createEvents } from '../events.ts'
import { errorPage, publicError } from './failures.ts'
import { FpError } from '../errors.ts'
import { appIdOf } from './host.ts'
import { createIngress } from './ingress.ts'
import { createRouteTable, type Route } from './routes.ts'
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
  const route = (key: string | null, idleTimeout = 1000): Route => ({ appId: 'a', key, idleTimeout })

  test('asks once, and anew after news of a switch', async () => {
    const events = createEvents()
    const lookup = vi.fn(async () => route('a.1.0'))
    const table = createRouteTable({ lookup, events, defaultIdleTimeout: 5 })
    expect([await table.keyOf('a'), await table.keyOf('a')]).toEqual(['a.1.0', 'a.1.0'])
    expect(lookup).toHaveBeenCalledTimes(1)
    lookup.mockResolvedValue(route('a.2.1'))
    events.emit('app.routed', { appId: 'a' })
    expect(await table.keyOf('a')).toBe('a.2.1')
  })

  test('does not believe a lookup that was overtaken by a switch', async () => {
    const events = createEvents()
    let answer = (_: Route): void => undefined
    const lookup = vi.fn(() => new Promise<Route>((resolve) => (answer = resolve)))
    const table = createRouteTable({ lookup, events, defaultIdleTimeout: 5 })
    const asked = table.keyOf('a')
    const stale = answer
    events.emit('app.routed', { appId: 'a' })
    stale(route('a.1.0'))
    await vi.waitFor(() => expect(lookup).toHaveBeenCalledTimes(2))
    answer(route('a.2.0'))
    expect(await asked).toBe('a.2.0')
  })

  test('keeps no memory of apps that are not there, and uses each app’s idle timeout', async () => {
    const events = createEvents()
    const lookup = vi.fn(async (): Promise<Route | undefined> => undefined)
    const table = createRouteTable({ lookup, events, defaultIdleTimeout: 5 })
    await expect(table.keyOf('a')).rejects.toMatchObject({ code: 'FP_APP_NOT_FOUND' })
    expect(table.policyOf('a.1.0')).toEqual({ ...DEFAULT_POLICY, idleTimeout: 5 })
    lookup.mockResolvedValue(route('a.1.0', 7000))
    expect(await table.keyOf('a')).toBe('a.1.0')
    expect(table.policyOf('a.1.0').idleTimeout).toBe(7000)
    events.emit('app.deleted', { appId: 'a' })
    expect(table.policyOf('a.1.0').idleTimeout).toBe(5)
  })
})

describe('a sleeping app', () => {
  test('is not woken by a monitor or for a favicon, and is for a program', async () => {
    const driver = new FakeDriver()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, { code: 'FP_APP_CRASHED', message: 'no' })
    }
    const activator = await createActivator({ driver })
    const ingress = await createIngress({
      activator,
      routes: createRouteTable({
        lookup: async () => ({ appId: 'a', key: 'a.1.0', idleTimeout: 1000 }),
        events: createEvents(),
        defaultIdleTimeout: 5,
      }),
      appDomain: 'localhost',
      trustProxy: () => false,
      responseTimeout: 1000,
      serverFactory: (handler) => createServer((request, response) => void handler(request, response)),
      registry: new Registry(),
      log: pino({ level: 'silent' }),
    })
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

describe('what a visitor is told', () => {
  test('never holds the app’s own words', () => {
    const failure = {
      code: 'FP_APP_IMPORT_FAILED',
      message: "KeyError: 'secret'",
      details: { traceback: 'secret' },
    }
    const told = publicError(new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure }))
    expect([told.code, told.statusCode]).toEqual(['FP_APP_CRASHED', 502])
    expect(JSON.stringify([told.message, errorPage(told, 'req-1')])).not.toContain('secret')
  })

  test('has Retry-After where trying again may help', () => {
    const told = publicError(new ScalerError('SCALER_QUEUE_FULL', 'full', { retryAfter: 1 }))
    expect([told.statusCode, told.headers['retry-after']]).toEqual([503, '1'])
  })

  test('is escaped on the page', () => {
    expect(errorPage(new FpError('FP_BAD_REQUEST', '<script>'), '"id"')).not.toContain('<script>')
  })
})

test('only the proxies that were named are believed', () => {
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
