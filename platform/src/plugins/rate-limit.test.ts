import Fastify from 'fastify'
import fp from 'fastify-plugin'
import { expect, it } from 'vitest'
import { createApiRates } from '../front/rates.ts'
import { USER_HEADER } from '../gate/forwarded.ts'
import { errorsPlugin } from './errors.ts'
import { rateLimitPlugin } from './rate-limit.ts'

it('an expensive route takes more tokens, and is refused before any work', async () => {
  await using app = Fastify()
  await app.register(errorsPlugin)
  const auth = fp(
    async (instance) => {
      instance.decorateRequest('foundSession', null)
      instance.addHook('onRequest', async (request) => {
        const userId = String(request.headers.authorization)
        Object.assign(request, { foundSession: { sessionId: 's', user: { userId } } })
      })
    },
    { name: 'auth' },
  )
  await app.register(auth)
  const rates = createApiRates({ perSecond: 1, trusts: () => false, now: () => 0 })
  await app.register(rateLimitPlugin, { rates })
  let worked = 0
  app.get('/cheap', async () => 'ok')
  app.get('/dear', { config: { cost: 5 } }, async () => `${++worked}`)
  const get = (url: string, authorization: string) => app.inject({ url, headers: { authorization } })

  const statuses = []
  for (let n = 0; n < 4; n++) statuses.push((await get('/dear', 'ann')).statusCode)
  expect(statuses).toEqual([200, 200, 429, 429])
  expect(worked).toBe(2)
  const refused = await get('/dear', 'ann')
  expect(refused.headers).toMatchObject({
    'retry-after': '3',
    ratelimit: '"api";r=2;t=10',
    'ratelimit-policy': '"api";q=12;w=12',
  })
  expect(refused.json()).toMatchObject({
    code: 'FP_TOO_MANY_REQUESTS',
    message: expect.stringContaining('counts as 5'),
  })
  expect(refused.headers).toHaveProperty(USER_HEADER, 'ann s')
  expect((await get('/cheap', 'ann')).statusCode).toBe(200)
  expect((await get('/dear', 'bob')).statusCode).toBe(200)
})
