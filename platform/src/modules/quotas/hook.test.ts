import Fastify from 'fastify'
import { expect, it } from 'vitest'
import type { Api } from '../../api/api.ts'
import { FpError } from '../../errors.ts'
import { registerQuotas } from './hook.ts'

it('an app that is being created counts once, also when its document exists already', async () => {
  let apps = 0
  const secondArrived = Promise.withResolvers<void>()
  const api = Fastify()
  api.decorateRequest('user', null as never)
  api.addHook('onRequest', async (request) => {
    Object.assign(request, { user: { userId: 'u', role: 'user' } })
  })
  registerQuotas(api as unknown as Api, {
    limits: { apps: 2, deploysPerHour: 0 },
    countApps: async () => apps,
    countDeploy: () => Promise.reject(new Error('not used')),
    now: () => new Date(),
  })
  api.setErrorHandler((error, _request, reply) =>
    reply.code(error instanceof FpError ? 409 : 500).send(String(error)),
  )
  api.post('/apps', { config: { quota: 'app' } }, async (_request, reply) => {
    apps++
    await secondArrived.promise
    return reply.code(201).send()
  })
  const url = await api.listen({ port: 0, host: '127.0.0.1' })
  let requests = 0
  api.server.on('request', () => ++requests === 3 && secondArrived.resolve())
  const create = async () => (await fetch(`${url}/apps`, { method: 'POST' })).status
  const statuses = await Promise.all([create(), create(), create()])
  expect(statuses.sort()).toEqual([201, 201, 409])
  await api.close()
})
