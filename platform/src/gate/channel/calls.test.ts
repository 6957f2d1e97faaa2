import { ScalerError } from '@fp/scaler'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { openChannel, type Channel } from '../../../test/channel.ts'
import { fakeGate } from '../../../test/fake-gate.ts'
import { FpError } from '../../errors.ts'
import type { AppAnswer, AppRequest } from '../gate.ts'

const MB = 2 ** 20
const REQUEST: AppRequest = {
  key: 'a.1.1',
  host: 'app-a.localhost:8080',
  method: 'POST',
  path: '/items?q=ü%20',
  headers: { 'x-a': 'ü', cookie: 'c=1' },
  client: { address: '192.0.2.7', scheme: 'https' },
}
const signal = new AbortController().signal

interface Open extends Channel {
  call(request?: Partial<AppRequest>, stop?: AbortSignal): Promise<AppAnswer>
}

async function open(app: (request: AppRequest, signal: AbortSignal) => Promise<AppAnswer>): Promise<Open> {
  const channel = await openChannel(fakeGate({ call: app }))
  return {
    ...channel,
    call: (request, stop = signal) => channel.client.call({ ...REQUEST, ...request }, { signal: stop }),
  }
}

const answerOf = (body: Readable): AppAnswer => ({ status: 200, headers: {}, body, coldStart: false })

test('request and answer arrive as they were sent', async () => {
  let seen: AppRequest | undefined
  const { call } = await open(async (request) => {
    seen = request
    return {
      status: 418,
      headers: { 'x-b': 'é' },
      body: Readable.from([Buffer.from('a\nb')]),
      coldStart: true,
    }
  })
  const { body, ...head } = await call()
  expect(head).toEqual({ status: 418, headers: { 'x-b': 'é' }, coldStart: true })
  expect(await text(body)).toBe('a\nb')
  expect(seen).toEqual(REQUEST)
})

test.each([
  ['none', undefined],
  ['an empty text', ''],
  ['a text', 'ü\n{"a":1}\u2028'],
])('a request has %s as its body', async (_what, sent) => {
  let seen: unknown = 'nothing was called'
  const { call } = await open(async ({ body }) => {
    seen = body
    return answerOf(Readable.from([]))
  })
  const { body } = await call(sent === undefined ? {} : { body: sent })
  expect(await text(body)).toBe('')
  expect(seen).toBe(sent)
})

test('a request may have more headers than a head of HTTP can', async () => {
  const headers = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`x-${n}`, 'a'.repeat(8_000)]))
  const { call } = await open(async (request) => {
    expect(request.headers).toEqual(headers)
    return answerOf(Readable.from([Buffer.from('ok')]))
  })
  expect(await text((await call({ headers })).body)).toBe('ok')
})

test('a streamed body arrives piece by piece, and the answer need not wait for its end', async () => {
  const { call } = await open(async ({ body }) => answerOf(body as Readable))
  const sent = new PassThrough()
  sent.write('one')
  const { body } = await call({ body: sent })
  const pieces = body[Symbol.asyncIterator]()
  for (const piece of ['one', 'two', 'three']) {
    if (piece !== 'one') sent.write(piece)
    expect(String((await pieces.next()).value)).toBe(piece)
  }
  sent.end()
  expect(await pieces.next()).toMatchObject({ done: true })
})

test('a streamed body that fails makes the call fail with its error', async () => {
  const { call } = await open(async ({ body }) => {
    await buffer(body as Readable)
    return answerOf(Readable.from([]))
  })
  const sent = new PassThrough()
  const calling = call({ body: sent })
  sent.write('half')
  sent.destroy(new Error('the client went away'))
  await expect(calling).rejects.toThrow('the client went away')
})

test('an answer of many MB waits for its reader, and arrives completely', async () => {
  let made = 0
  const piece = Buffer.alloc(64 * 1024, 'a')
  const { call } = await open(async () =>
    answerOf(
      new Readable({
        read() {
          made += piece.length
          this.push(made > 64 * MB ? null : piece)
        },
      }),
    ),
  )
  const { body } = await call()
  let before = -1
  await expect.poll(() => (made > 0 && made === before) || void (before = made), { interval: 100 }).toBe(true)
  expect(made).toBeLessThan(8 * MB)
  expect((await buffer(body)).length).toBe(64 * MB)
})

test('an answer that breaks off ends with the reason, after all data from before', async () => {
  const source = new PassThrough()
  const { call } = await open(async () => answerOf(source))
  const { body } = await call()
  source.write('half')
  await once(body, 'readable')
  source.destroy(new FpError('FP_APP_TIMEOUT', 'The app did not answer in time.'))
  const pieces = body[Symbol.asyncIterator]()
  expect(String((await pieces.next()).value)).toBe('half')
  await expect(pieces.next()).rejects.toMatchObject({
    code: 'FP_APP_TIMEOUT',
    message: 'The app did not answer in time.',
  })
})

test('an error before the answer arrives unchanged', async () => {
  const cause = new ScalerError('SCALER_RETIRED', 'Replaced.')
  const { call } = await open(async () => {
    throw new FpError('FP_UNAVAILABLE', 'Being replaced.', { headers: { 'retry-after': '0' }, cause })
  })
  await expect(call()).rejects.toMatchObject({
    code: 'FP_UNAVAILABLE',
    headers: { 'retry-after': '0' },
    cause: { code: 'SCALER_RETIRED' },
  })
})

test('a gate that ends during an answer is not mistaken for the app', async () => {
  const source = new PassThrough()
  const { call, stop } = await open(async () => answerOf(source))
  const { body } = await call()
  source.write('half')
  const pieces = body[Symbol.asyncIterator]()
  expect(String((await pieces.next()).value)).toBe('half')
  await stop()
  await expect(pieces.next()).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
})

test.each(['before the answer', 'amid the answer'])(
  'an abort %s reaches the app, with the caller’s own reason',
  async (when) => {
    const begun = Promise.withResolvers<AbortSignal>()
    const source = new PassThrough()
    const { call } = await open((_request, atGate) => {
      begun.resolve(atGate)
      return when === 'amid the answer' ? Promise.resolve(answerOf(source)) : new Promise(() => undefined)
    })
    const stop = new AbortController()
    const calling = call({}, stop.signal)
    const atGate = await begun.promise
    const aborted = new Promise((resolve) => atGate.addEventListener('abort', resolve))
    const reading = calling.then(({ body }) => text(body))
    if (when === 'amid the answer') await calling
    const reason = new Error('nobody waits any more')
    stop.abort(reason)
    await expect(reading).rejects.toBe(reason)
    await aborted
    if (when === 'amid the answer') await expect.poll(() => source.destroyed).toBe(true)
  },
)

test('destroying the body ends the request at the app', async () => {
  const source = new PassThrough()
  const { call } = await open(async () => answerOf(source))
  const { body } = await call()
  source.write('some')
  body.destroy()
  await once(source, 'close')
})
