import { beforeEach, expect, test } from 'vitest'
import type { CallStreamEvent } from '@fp/sdk/wire'
import { startApi, type Asked, type TestApi } from '../../../test/api.ts'
import { rememberTry, TryIt } from './try-it.svelte.ts'

const URL_OF_APP = 'http://app-a.localhost:8080'
const PROXY = 'POST /api/apps/a/proxy/stream'

let api: TestApi
beforeEach(async () => {
  localStorage.clear()
  api = await startApi()
})

const END: CallStreamEvent = { event: 'end', body_truncated: false, latency_ms: 9 }

function head(status_code: number): CallStreamEvent {
  return { event: 'head', status_code, headers: {}, cold_start: false, latency_ms: 2 }
}

/** Answers with these events; the stream ends with the last kind of them. */
function write({ response }: Asked, ...events: CallStreamEvent[]): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) response.write(`event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`)
  if (['end', 'error'].includes(events.at(-1)!.event)) response.end()
}

test('begins with the last request that was sent on this device', () => {
  rememberTry('a', { method: 'POST', path: '/items', headers: 'X-A: 1', body: '{}' })
  expect(new TryIt('a')).toMatchObject({ method: 'POST', path: '/items', headers: 'X-A: 1', body: '{}' })
  expect(new TryIt('b')).toMatchObject({ method: 'GET', path: '/' })
  localStorage.setItem('fp:try:a', 'no JSON')
  expect(new TryIt('a')).toMatchObject({ method: 'GET', path: '/' })
})

test('sends what was typed, and shows the answer', async () => {
  const tryIt = new TryIt('a')
  Object.assign(tryIt, {
    method: 'POST',
    path: `${URL_OF_APP}/items?n=1`,
    headers: 'X-One: 1\nno header\n X-Two:a:b ',
    body: '{"a":1}',
  })
  const sent = tryIt.send(URL_OF_APP)
  const asked = await api.next(PROXY)
  expect(tryIt.sending).toBe(true)
  expect(asked.body).toEqual({
    method: 'POST',
    path: '/items?n=1',
    headers: { 'X-One': '1', 'X-Two': 'a:b', 'content-type': 'application/json' },
    body: '{"a":1}',
  })
  write(asked, head(201), { event: 'body', body: 'made', body_encoding: 'text' }, END)
  await sent
  expect(tryIt.answer).toEqual({
    status_code: 201,
    headers: {},
    cold_start: false,
    body: 'made',
    body_encoding: 'text',
    body_truncated: false,
    latency_ms: 9,
  })
  expect([tryIt.answered, tryIt.sending, tryIt.streaming]).toEqual(['/items?n=1', false, false])
  expect(new TryIt('a').path).toBe('/items?n=1')
})

test('a GET has no body, and a typed content type is kept', async () => {
  const tryIt = new TryIt('a')
  tryIt.body = 'left from before'
  void tryIt.send(URL_OF_APP)
  const get = await api.next(PROXY)
  expect(get.body).toEqual({ method: 'GET', path: '/', headers: {} })
  const other = new TryIt('b')
  Object.assign(other, { method: 'PUT', headers: 'Content-Type: text/plain', body: 'x' })
  void other.send(URL_OF_APP)
  expect((await api.next('POST /api/apps/b/proxy/stream')).body).toMatchObject({
    headers: { 'Content-Type': 'text/plain' },
  })
})

test('a cancelled request shows neither an answer nor an error', async () => {
  const tryIt = new TryIt('a')
  const sent = tryIt.send(URL_OF_APP)
  await api.next(PROXY)
  tryIt.cancel()
  await sent
  expect([tryIt.answer, tryIt.error, tryIt.sending]).toEqual([undefined, undefined, false])
})

test('a refusal is shown in place of the previous answer', async () => {
  const tryIt = new TryIt('a')
  const first = tryIt.send(URL_OF_APP)
  const good = await api.next(PROXY)
  write(good, head(200), END)
  await first
  const second = tryIt.send(URL_OF_APP)
  const bad = await api.next(PROXY)
  bad.refuse(409, 'FP_APP_NOT_DEPLOYED')
  await second
  expect(tryIt.answer).toBeUndefined()
  expect(tryIt.error).toMatchObject({ code: 'FP_APP_NOT_DEPLOYED' })
})

test('an answer is shown as it arrives, and stays when it is stopped', async () => {
  const tryIt = new TryIt('a')
  const sent = tryIt.send(URL_OF_APP)
  const asked = await api.next(PROXY)
  write(asked, head(200))
  await expect
    .poll(() => [tryIt.streaming, tryIt.answer?.status_code, tryIt.answer?.body])
    .toEqual([true, 200, ''])
  for (const [piece, shown] of [
    ['one ', 'one '],
    ['two', 'one two'],
  ] as const) {
    write(asked, { event: 'body', body: piece, body_encoding: 'text' })
    await expect.poll(() => tryIt.answer?.body).toBe(shown)
  }
  tryIt.cancel()
  await sent
  expect(tryIt).toMatchObject({
    sending: false,
    streaming: false,
    error: undefined,
    answer: { body: 'one two' },
  })
})

test('tells a stopped answer from a complete one, and says how long each took', async () => {
  let now = 0
  const tryIt = new TryIt('a', () => now)
  const begin = async (): Promise<[Promise<void>, Asked]> => {
    const sent = tryIt.send(URL_OF_APP)
    const asked = await api.next(PROXY)
    expect([tryIt.timing, tryIt.ended]).toEqual([undefined, undefined])
    write(asked, head(200))
    await expect.poll(() => tryIt.timing).toEqual({ firstByte: 2, total: 2 })
    return [sent, asked]
  }
  const [stopped] = await begin()
  now += 1_000
  await expect.poll(() => tryIt.timing).toEqual({ firstByte: 2, total: 1_002 })
  now += 3_198
  tryIt.cancel()
  await stopped
  expect([tryIt.ended, tryIt.timing]).toEqual(['stopped', { firstByte: 2, total: 4_200 }])

  const [complete, asked] = await begin()
  write(asked, END)
  await complete
  expect([tryIt.ended, tryIt.timing]).toEqual(['complete', { firstByte: 2, total: END.latency_ms }])

  const [failed, broken] = await begin()
  now += 500
  write(broken, { event: 'error', code: 'FP_APP_CRASHED', message: 'It closed the connection.' })
  await failed
  expect([tryIt.ended, tryIt.timing]).toEqual(['failed', { firstByte: 2, total: 502 }])
})

test('a failure after the head is shown with what came before', async () => {
  const tryIt = new TryIt('a')
  const sent = tryIt.send(URL_OF_APP)
  write(
    await api.next(PROXY),
    head(200),
    { event: 'body', body: 'half', body_encoding: 'text' },
    { event: 'error', code: 'FP_APP_CRASHED', message: 'It closed the connection.' },
  )
  await sent
  expect(tryIt.answer?.body).toBe('half')
  expect(tryIt.error).toMatchObject({ code: 'FP_APP_CRASHED', message: 'It closed the connection.' })
})

test('binary pieces are joined, and shown as text in the end if they are text', async () => {
  const piece = (bytes: number[]): CallStreamEvent => ({
    event: 'body',
    body: btoa(String.fromCharCode(...bytes)),
    body_encoding: 'base64',
  })
  const binary = new TryIt('a')
  const first = binary.send(URL_OF_APP)
  write(await api.next(PROXY), head(200), piece([0x89]), piece([0x50, 0xff]), END)
  await first
  expect(binary.answer).toMatchObject({ body: btoa('\x89\x50\xff'), body_encoding: 'base64' })
  const text = new TryIt('a')
  const second = text.send(URL_OF_APP)
  write(await api.next(PROXY), head(200), piece([0xc3]), piece([0xbc]), END)
  await second
  expect(text.answer).toMatchObject({ body: 'ü', body_encoding: 'text' })
})

test('an answer that the platform breaks off differs from one that the app ends', async () => {
  const tryIt = new TryIt('a')
  const sent = tryIt.send(URL_OF_APP)
  const asked = await api.next(PROXY)
  write(asked, head(200))
  await expect.poll(() => tryIt.streaming).toBe(true)
  asked.response.destroy()
  await sent
  expect(tryIt.error).toMatchObject({ message: expect.stringMatching(/platform broke/) })
})
