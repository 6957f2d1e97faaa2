import { beforeEach, expect, test, vi } from 'vitest'
import { startApi, type Asked, type TestApi } from '../../../test/api.ts'
import { sessionId } from '../api/session-id.ts'

const ME = 'GET /api/auth/me'
const USER = { user_id: 'u', username: 'ada', email: 'ada@example.com', role: 'user' }

let api: TestApi
let session: (typeof import('./session.svelte.ts'))['session']
beforeEach(async () => {
  localStorage.clear()
  api = await startApi()
  // A page load has a module of its own.
  vi.resetModules()
  session = (await import('./session.svelte.ts')).session
})

test('asks the platform once per page load', async () => {
  const both = Promise.all([session.find(), session.find()])
  const asked = await api.next(ME)
  asked.answer(USER)
  expect(await both).toEqual([USER, USER])
  expect(await session.find()).toEqual(USER)
  expect(api.waiting).toBe(0)
})

test('nobody is logged in if the platform says so', async () => {
  const found = session.find()
  const asked = await api.next(ME)
  asked.refuse(401, 'FP_UNAUTHENTICATED')
  expect(await found).toBeUndefined()
  expect(await session.find()).toBeUndefined()
  expect(api.waiting).toBe(0)
})

test('asks again after another error', async () => {
  const found = session.find()
  const asked = await api.next(ME)
  asked.refuse(503, 'FP_UNAVAILABLE')
  await expect(found).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
  const again = session.find()
  const second = await api.next(ME)
  second.answer(USER)
  expect(await again).toEqual(USER)
})

test('names its session in the requests after a log-in, and no longer after the log-out', async () => {
  expect(sessionId()).toBe('none')
  const login = session.login({ username: 'ada', password: 'secret' })
  const asked = await api.next('POST /api/auth/login')
  asked.answer({ user: USER, access_token: 't', token_type: 'bearer', session_id: 's1' }, 201)
  await login
  expect([session.user, sessionId()]).toEqual([USER, 's1'])
  const logout = session.logout()
  const out = await api.next('POST /api/auth/logout')
  expect(out.headers['x-fp-session']).toBe('s1')
  out.response.writeHead(204).end()
  await logout
  expect([session.user, sessionId(), await session.find()]).toEqual([undefined, 'none', undefined])
})

test.each([
  ['nobody has an account', (asked: Asked) => asked.answer({ needs_setup: true }), true],
  ['somebody has', (asked: Asked) => asked.answer({ needs_setup: false }), false],
  ['the platform does not say so', (asked: Asked) => asked.refuse(503, 'FP_UNAVAILABLE'), false],
])('whether the first account is missing, when %s', async (_name, reply, expected) => {
  const needs = session.needsSetup()
  reply(await api.next('GET /api/auth/setup'))
  expect(await needs).toBe(expected)
})

test('a request that was refused for too many cookies is sent again', async () => {
  const found = session.find()
  const refused = await api.next(ME)
  refused.refuse(431, 'FP_HEADERS_TOO_LARGE')
  const asked = await api.next(ME)
  asked.answer(USER)
  expect(await found).toEqual(USER)
})

test('the page is notified when its session has ended', async () => {
  const { client, onUnauthorized } = await import('../api/client.ts')
  const heard = vi.fn()
  const stop = onUnauthorized(heard)
  const asking = client.apps.get('a').catch(() => undefined)
  const asked = await api.next('GET /api/apps/a')
  asked.refuse(401, 'FP_UNAUTHENTICATED')
  await asking
  stop()
  expect(heard).toHaveBeenCalledOnce()
})
