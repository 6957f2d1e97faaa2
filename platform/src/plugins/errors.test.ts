import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { FpError } from '../errors.ts'
import { errorsPlugin } from './errors.ts'

async function answerTo(
  thrown: unknown,
): Promise<{ status: number; body: Record<string, unknown>; retryAfter: unknown }> {
  await using app = Fastify()
  await app.register(errorsPlugin)
  app.get('/', async () => {
    throw thrown
  })
  const answer = await app.inject('/')
  return { status: answer.statusCode, body: answer.json(), retryAfter: answer.headers['retry-after'] }
}

it('answers our own errors with their code, text, details and headers', async () => {
  const error = new FpError('FP_QUEUE_FULL', 'Full.', { details: [1], headers: { 'retry-after': '1' } })
  const { status, body, retryAfter } = await answerTo(error)
  expect([status, retryAfter]).toEqual([503, '1'])
  expect(body).toEqual({
    code: 'FP_QUEUE_FULL',
    message: 'Full.',
    details: [1],
    request_id: expect.any(String),
  })
})

it.each([
  ['an error', new Error('secret path /etc/fp')],
  ['an error that claims to be harmless', Object.assign(new Error('secret'), { statusCode: 503 })],
  ['text', 'secret'],
  ['nothing', null],
])('tells nothing of the inside when %s was thrown', async (_what, thrown) => {
  const { status, body } = await answerTo(thrown)
  expect([status, body['code']]).toEqual([500, 'FP_INTERNAL'])
  expect(JSON.stringify(body)).not.toContain('secret')
  expect(body['message']).toContain(body['request_id'])
})

it('reports that the database does not answer', async () => {
  const error = Object.assign(new Error('connect ECONNREFUSED'), { name: 'MongoServerSelectionError' })
  expect(await answerTo(error)).toMatchObject({
    status: 503,
    body: { code: 'FP_UNAVAILABLE' },
    retryAfter: '2',
  })
})
