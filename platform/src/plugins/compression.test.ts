import Fastify from 'fastify'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { compressionPlugin } from './compression.ts'

const LARGE = { items: Array.from({ length: 200 }, (_, index) => ({ name: `app ${index}` })) }

async function answerTo(path: string, headers: Record<string, string> = { 'accept-encoding': 'gzip, br' }) {
  await using app = Fastify()
  await app.register(compressionPlugin)
  app.get('/large', async () => LARGE)
  app.get('/small', async () => ({ ok: true }))
  app.get('/events', (_request, reply) =>
    reply.type('text/event-stream').send(Readable.from(['data: x\n\n'.repeat(1_000)])),
  )
  app.get('/file', (_request, reply) => reply.type('image/png').send(Buffer.alloc(10_000)))
  return await app.inject({ method: 'GET', url: path, headers })
}

it('compresses a large JSON answer, and says that it depends on what the client accepts', async () => {
  const answer = await answerTo('/large')
  expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
  expect(JSON.parse(gunzipSync(answer.rawPayload).toString())).toEqual(LARGE)
  expect(answer.rawPayload.length * 4).toBeLessThan(JSON.stringify(LARGE).length)
})

it.each(['/small', '/events', '/file'])('leaves %s as it is', async (path) => {
  expect((await answerTo(path)).headers['content-encoding']).toBeUndefined()
})

it.each([
  {},
  { 'accept-encoding': 'br' },
  { 'accept-encoding': 'identity' },
  { 'accept-encoding': 'gzip;q=0' },
])('compresses nothing for a client that sends %j', async (headers) => {
  const answer = await answerTo('/large', headers as Record<string, string>)
  expect(answer.headers['content-encoding']).toBeUndefined()
  expect(answer.json()).toEqual(LARGE)
})
