import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import Fastify from 'fastify'
import fp from 'fastify-plugin'
import { expect, it, onTestFinished } from 'vitest'
import { createJsonThread } from '../json/thread.ts'
import { BODY_LIMITS } from './body-limits.ts'
import { errorsPlugin } from './errors.ts'
import { jsonBodiesPlugin } from './json-bodies.ts'

/** An API whose users are whoever the token says. */
async function start() {
  const app = Fastify()
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
  const thread = createJsonThread()
  app.addHook('onClose', () => thread.close())
  let begun = 0
  app.addHook('preParsing', async (_request, _reply, payload) => (begun++, payload))
  await app.register(jsonBodiesPlugin, { thread })
  app.put('/draft', { bodyLimit: BODY_LIMITS.files }, async ({ body }) => JSON.stringify(body).length)
  await app.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => app.close())
  const { port } = app.server.address() as AddressInfo
  return { app, port, begun: () => begun }
}

it('connections that announce much and send nothing take no room from others', async () => {
  const { port, begun } = await start()
  for (let n = 0; n < 60; n++) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    const head = `PUT /draft HTTP/1.1\r\nhost: x\r\nauthorization: u${n % 15}\r\ncontent-type: application/json\r\n`
    const length = n % 2 ? 'transfer-encoding: chunked' : `content-length: ${BODY_LIMITS.files}`
    socket.write(`${head}${length}\r\n\r\n${n % 2 ? '1\r\n{\r\n' : '{'}`)
  }
  await expect.poll(begun).toBe(60)
  const response = await put(port, 'neighbour')
  expect([response.status, await response.text()]).toEqual([200, '1000002'])
})

it('a client that disconnects releases its room', async () => {
  const { app, port } = await start()
  const head = 'PUT /draft HTTP/1.1\r\nhost: x\r\nauthorization: ann\r\ncontent-type: application/json\r\n'
  for (let n = 0; n < 8; n++) {
    const asked = once(app.server, 'request')
    const socket = connect(port, '127.0.0.1')
    socket.write(`${head}content-length: ${BODY_LIMITS.files}\r\n\r\n{`)
    const [, response] = (await asked) as [unknown, ServerResponse]
    const closed = once(response, 'close')
    socket.destroy()
    await closed
  }
  expect((await put(port, 'ann')).status).toBe(200)
})

const put = (port: number, authorization: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/draft`, {
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify('x'.repeat(1_000_000)),
  })
