import { beforeEach, expect, test } from 'vitest'
import { startApi, type TestApi } from '../../../test/api.ts'
import { rememberTry, TryIt } from './try-it.svelte.ts'

const URL_OF_APP = 'http://app-a.localhost:8080'
const PROXY = 'POST /api/apps/a/proxy'

let api: TestApi
beforeEach(async () => {
  localStorage.clear()
  api = await startApi()
})

test('begins with what was last tried on this device', () => {
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
  asked.answer({ status_code: 201, headers: {}, body: 'made' })
  await sent
  expect([tryIt.answer?.status_code, tryIt.answered, tryIt.sending]).toEqual([201, '/items?n=1', false])
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
  expect((await api.next('POST /api/apps/b/proxy')).body).toMatchObject({
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

test('a refusal is shown in place of the answer before', async () => {
  const tryIt = new TryIt('a')
  const first = tryIt.send(URL_OF_APP)
  const good = await api.next(PROXY)
  good.answer({ status_code: 200, headers: {}, body: '' })
  await first
  const second = tryIt.send(URL_OF_APP)
  const bad = await api.next(PROXY)
  bad.refuse(409, 'FP_APP_NOT_DEPLOYED')
  await second
  expect(tryIt.answer).toBeUndefined()
  expect(tryIt.error).toMatchObject({ code: 'FP_APP_NOT_DEPLOYED' })
})
