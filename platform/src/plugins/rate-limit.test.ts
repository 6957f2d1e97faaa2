import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { errorsPlugin } from './errors.ts'
import { rateLimitPlugin } from './rate-limit.ts'

it('lets one address make a burst, then so many requests a second, and leaves others alone', async () => {
  let now = 0
  await using app = Fastify()
  await app.register(errorsPlugin)
  await app.register(rateLimitPlugin, { perSecond: 2, burst: 3, now: () => now })
  app.get('/api/x', async () => 'ok')
  app.get('/healthz', async () => 'ok')
  const get = async (remoteAddress: string, url = '/api/x'): Promise<number> =>
    (await app.inject({ url, remoteAddress })).statusCode

  const burst = []
  for (let count = 0; count < 5; count++) burst.push(await get('192.0.2.1'))
  expect(burst).toEqual([200, 200, 200, 429, 429])
  expect(await get('192.0.2.2')).toBe(200)
  expect(await get('192.0.2.1', '/healthz')).toBe(200)
  const refused = await app.inject({ url: '/api/x', remoteAddress: '192.0.2.1' })
  expect(refused.headers['retry-after']).toBe('1')
  expect(refused.json()).toMatchObject({ code: 'FP_TOO_MANY_REQUESTS' })
  now = 1_000
  expect([await get('192.0.2.1'), await get('192.0.2.1'), await get('192.0.2.1')]).toEqual([200, 200, 429])
})
