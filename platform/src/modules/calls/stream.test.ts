import type { CallStreamEvent } from '@fp/sdk/wire'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { FpError } from '../../errors.ts'
import { MAX_SHOWN_BODY } from './shown.ts'
import { streamAnswer } from './stream.ts'

/** An answer whose body the test writes, and its events one by one. */
function answerOf(contentType: string) {
  const body = new PassThrough()
  const answer = { status: 200, headers: { 'content-type': contentType }, body, coldStart: false }
  const parts = streamAnswer(answer, () => 1.5)
  const next = async (): Promise<CallStreamEvent | undefined> =>
    (await parts.next()).value as CallStreamEvent | undefined
  return { body, next }
}

test('the head comes before the body, and each piece when it arrives', async () => {
  const { body, next } = answerOf('text/plain')
  expect(await next()).toEqual({
    event: 'head',
    status_code: 200,
    headers: { 'content-type': 'text/plain' },
    cold_start: false,
    latency_ms: 1.5,
  })
  for (const text of ['one', 'two']) {
    const piece = next()
    body.write(text)
    expect(await piece).toEqual({ event: 'body', body: text, body_encoding: 'text' })
  }
  body.end()
  expect(await next()).toEqual({ event: 'end', body_truncated: false, latency_ms: 1.5 })
  expect(await next()).toBeUndefined()
})

test('a character that arrives in two pieces comes with the second, and a byte order mark stays', async () => {
  const { body, next } = answerOf('application/json; charset=utf-8')
  await next()
  const bytes = Buffer.from('\ufeffü')
  const first = next()
  body.write(bytes.subarray(0, 4))
  expect(await first).toMatchObject({ body: '\ufeff' })
  const second = next()
  body.write(bytes.subarray(4))
  expect(await second).toMatchObject({ body: 'ü' })
  body.destroy()
})

test('a binary body arrives in base64', async () => {
  const { body, next } = answerOf('image/png')
  await next()
  const piece = next()
  body.write(Buffer.from([0x89, 0x50]))
  expect(await piece).toEqual({ event: 'body', body: 'iVA=', body_encoding: 'base64' })
  body.destroy()
})

test('no more than 1 MB is shown, and the request is ended there', async () => {
  const { body, next } = answerOf('text/plain')
  await next()
  body.write(Buffer.alloc(MAX_SHOWN_BODY + 1, 'x'))
  let shown = 0
  for (let part = await next(); part; part = await next()) {
    if (part.event === 'body') shown += part.body.length
    else expect(part).toEqual({ event: 'end', body_truncated: true, latency_ms: 1.5 })
  }
  expect(shown).toBe(MAX_SHOWN_BODY)
  expect(body.destroyed).toBe(true)
})

test('a failure after the head is the last event', async () => {
  const { body, next } = answerOf('text/plain')
  await next()
  const last = next()
  body.destroy(new FpError('FP_APP_CRASHED', 'The app closed the connection.'))
  expect(await last).toEqual({
    event: 'error',
    code: 'FP_APP_CRASHED',
    message: 'The app closed the connection.',
  })
  expect(await next()).toBeUndefined()
})
