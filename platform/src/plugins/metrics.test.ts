import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { forwardedHeaders } from '../gate/forwarded.ts'
import { errorsPlugin } from './errors.ts'
import { createRegistry, metricsPlugin } from './metrics.ts'

const TOKEN = 'a-token-of-24-characters'

async function build(token?: string, appsOnLoopback = false) {
  const app = Fastify()
  await app.register(errorsPlugin)
  const registry = createRegistry('api')
  await app.register(metricsPlugin, { registry, read: () => registry.metrics(), token, appsOnLoopback })
  app.get('/api/things/:id', async () => 'a thing')
  app.get('/logo.svg', async () => 'a logo')
  return app
}

/** The headers that the API gets of a request of this peer. */
function viaGate(remoteAddress: string, headers: Record<string, string> = {}): Record<string, string> {
  const request = { socket: { remoteAddress }, headers, rawHeaders: Object.entries(headers).flat() }
  const passed = forwardedHeaders(request as never, () => false)
  return Object.fromEntries(passed.flatMap((name, at) => (at % 2 === 0 ? [[name, passed[at + 1]!]] : [])))
}

describe('without a token', () => {
  it.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])(
    'programs of this machine (%s) may read',
    async (remoteAddress) => {
      await using app = await build()
      const answer = await app.inject({ url: '/metrics', headers: viaGate(remoteAddress) })
      expect(answer.statusCode).toBe(200)
      expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(answer.body).toMatch(/^process_resident_memory_bytes\{process="api"\} \d+$/m)
      expect(answer.body).toMatch(/^nodejs_eventloop_lag_p99_seconds\{process="api"\} /m)
    },
  )

  it.each([
    ['another machine', '192.0.2.1', {}],
    ['a client of a proxy', '127.0.0.1', { 'x-forwarded-for': '192.0.2.1' }],
    ['a client of a proxy by RFC 7239', '127.0.0.1', { forwarded: 'for=192.0.2.1' }],
    ['a client of a proxy that hides it', '::1', { via: '1.1 proxy' }],
    ['a client of nginx', '::1', { 'x-real-ip': '127.0.0.1' }],
  ])('%s finds nothing', async (_who, remoteAddress, headers) => {
    await using app = await build()
    const answer = await app.inject({ url: '/metrics', headers: viaGate(remoteAddress, headers) })
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'FP_NOT_FOUND'])
  })
})

it('if apps share the loopback, nobody may read without a token', async () => {
  await using app = await build(undefined, true)
  const answer = await app.inject({ url: '/metrics', headers: viaGate('127.0.0.1') })
  expect(answer.statusCode).toBe(404)
})

describe('with a token', () => {
  const ask = async (authorization: string | undefined): Promise<[number, string]> => {
    await using app = await build(TOKEN)
    const headers = { 'x-forwarded-for': '192.0.2.1', ...(authorization && { authorization }) }
    const answer = await app.inject({ url: '/metrics', headers: viaGate('127.0.0.1', headers) })
    return [answer.statusCode, answer.body]
  }

  it('a client with the token may read from anywhere', async () => {
    const [status, body] = await ask(`Bearer ${TOKEN}`)
    expect([status, body]).toEqual([200, expect.stringContaining('process_cpu_seconds_total')])
  })

  it.each([undefined, 'Bearer ', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN])(
    '%s may not, even on this machine',
    async (authorization) => {
      const [status, body] = await ask(authorization)
      expect([status, JSON.parse(body).code]).toEqual([401, 'FP_UNAUTHENTICATED'])
    },
  )
})

it('counts the API’s requests by route, but not unknown paths', async () => {
  await using app = await build()
  for (const url of ['/api/things/1', '/api/things/2', '/api/none', '/wp-login.php', '/logo.svg'])
    await app.inject(url)
  const { body } = await app.inject({ url: '/metrics', headers: viaGate('127.0.0.1') })
  expect(body.split('\n').filter((line) => line.startsWith('fp_api_requests_total{'))).toEqual([
    'fp_api_requests_total{method="GET",route="/api/things/:id",status="200"} 2',
    'fp_api_requests_total{method="GET",route="other",status="404"} 2',
    'fp_api_requests_total{method="GET",route="other",status="200"} 1',
  ])
})
