import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'
import type { AppRequest } from '../../gate/gate.ts'
import { parseTargetKey } from '../../runtime/targets.ts'

const BROKEN = {
  code: 'FP_APP_CRASHED',
  message: 'KeyError: x',
  traceback: 'Traceback …',
  file: 'app.py',
  line: 3,
}

let bench: ModulesBench
let ann: Requests
const calls: AppRequest[] = []

beforeAll(async () => {
  bench = await modulesBench({
    call: async (request) => {
      calls.push(request)
      return {
        status: 201,
        headers: { 'content-type': 'text/plain', 'set-cookie': 'a=b' },
        body: Readable.from([Buffer.from('ok')]),
        coldStart: true,
      }
    },
  })
  ann = bench.as('u_ann')
})
afterAll(async () => bench[Symbol.asyncDispose]())
beforeEach(() => void (bench.targets.hold = false))

async function deployed(): Promise<string> {
  const app = (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
  const { deployment_id } = (await ann('POST', `/api/apps/${app}/deploy`, {})).body
  await ann('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  return app
}
const key = async (app: string): Promise<string> => (await bench.services.route(app))!.key!
const get = async (app: string): Promise<Record<string, unknown>> =>
  (await ann('GET', `/api/apps/${app}`)).body

test('an app is put to sleep and woken, and shows since when it sleeps', async () => {
  const app = await deployed()
  const asleep = await ann('POST', `/api/apps/${app}/sleep`)
  expect(asleep).toMatchObject({
    status: 200,
    body: { status: 'sleeping', asleep_since: expect.any(String) },
  })
  expect((await ann('GET', '/api/apps')).body.items[0]).toMatchObject({ app_id: app, status: 'sleeping' })
  const again = await ann('POST', `/api/apps/${app}/sleep`)
  expect(again.body.asleep_since).toBe(asleep.body.asleep_since)
  bench.targets.hold = true
  const waking = ann('POST', `/api/apps/${app}/wake`)
  const wake = await bench.targets.next()
  expect(await get(app)).toMatchObject({ status: 'waking', asleep_since: null })
  wake.succeed()
  expect(await waking).toMatchObject({ status: 200, body: { status: 'running', asleep_since: null } })
})

test('an app that is busy stays awake, and one that was never deployed has nothing to wake', async () => {
  const app = await deployed()
  bench.targets.busy.add(await key(app))
  expect(await ann('POST', `/api/apps/${app}/sleep`)).toMatchObject({
    status: 409,
    body: { code: 'FP_APP_BUSY' },
  })
  const draft = (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
  for (const way of ['sleep', 'wake']) {
    expect(await ann('POST', `/api/apps/${draft}/${way}`)).toMatchObject({
      status: 409,
      body: { code: 'FP_APP_NOT_DEPLOYED' },
    })
  }
  expect(await ann('POST', `/api/apps/${draft}/proxy`, { method: 'GET', path: '/' })).toMatchObject({
    status: 409,
  })
})

test('an app that cannot wake has the status error, with the reason, until it starts', async () => {
  const app = await deployed()
  await ann('POST', `/api/apps/${app}/sleep`)
  bench.targets.hold = true
  const waking = ann('POST', `/api/apps/${app}/wake`)
  ;(await bench.targets.next()).fail(BROKEN)
  expect(await waking).toMatchObject({ status: 502, body: { code: 'FP_APP_CRASHED', details: BROKEN } })
  expect(await get(app)).toMatchObject({ status: 'error', last_failure: BROKEN })
  bench.targets.hold = false
  expect(await ann('POST', `/api/apps/${app}/wake`)).toMatchObject({
    status: 200,
    body: { status: 'running' },
  })
})

test('events of a live target are recorded, those of other targets are not', async () => {
  const app = await deployed()
  const live = parseTargetKey(await key(app))
  bench.events.emit('app.failed', { ...live, userId: 'u_ann', revision: live.revision + 1, failure: BROKEN })
  bench.events.emit('app.slept', { ...live, userId: 'u_ann', version: 99 })
  bench.targets.awake.delete(await key(app))
  bench.events.emit('app.failed', { ...live, userId: 'u_ann', failure: BROKEN })
  await expect.poll(async () => (await get(app))['status']).toBe('error')
  bench.targets.awake.add(await key(app))
  bench.events.emit('app.woke', { ...live, userId: 'u_ann' })
  await expect.poll(async () => (await get(app))['status']).toBe('running')
})

test('an app that ended has the status error, also after a restart of the platform, until it ran and slept again', async () => {
  const app = await deployed()
  const live = parseTargetKey(await key(app))
  bench.targets.awake.delete(await key(app))
  bench.events.emit('app.failed', { ...live, userId: 'u_ann', failure: BROKEN })
  await expect.poll(async () => (await get(app))['status']).toBe('error')
  await bench.services.recover()
  expect(await get(app)).toMatchObject({ status: 'error' })
  bench.events.emit('app.slept', { ...live, userId: 'u_ann' })
  await expect.poll(async () => (await get(app))['status']).toBe('sleeping')
})

test('if the live target changes during a wake, the new one is woken', async () => {
  const app = await deployed()
  await ann('POST', `/api/apps/${app}/sleep`)
  bench.targets.hold = true
  const waking = ann('POST', `/api/apps/${app}/wake`)
  const old = await bench.targets.next()
  const { deployment_id } = (await ann('POST', `/api/apps/${app}/deploy`, { files: { 'app.py': '2' } })).body
  ;(await bench.targets.next()).succeed()
  await ann('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  old.fail({ ...BROKEN, code: 'SCALER_RETIRED' })
  expect(await waking).toMatchObject({
    status: 200,
    body: { status: 'running', live_version: 2, last_failure: null },
  })
})

test('a request to an app has the owner’s headers, and none of the platform', async () => {
  const app = await deployed()
  const response = await ann('POST', `/api/apps/${app}/proxy`, {
    method: 'POST',
    path: '/a b/ü?x=1 2#frag',
    headers: {
      Host: 'evil',
      Cookie: 'a=b',
      Authorization: 'Bearer app',
      Connection: 'close, X-Gone',
      'X-Gone': '1',
      'X-Kept': 'yes',
      TE: 'trailers',
      'Content-Length': '9',
    },
    body: '{"a":1}',
  })
  expect(response).toMatchObject({
    status: 200,
    body: {
      status_code: 201,
      headers: { 'content-type': 'text/plain', 'set-cookie': 'a=b' },
      body: 'ok',
      body_encoding: 'text',
      body_truncated: false,
      latency_ms: expect.any(Number),
      cold_start: true,
    },
  })
  expect(calls.at(-1)).toEqual({
    key: await key(app),
    host: `app-${app}.localhost:8080`,
    client: { address: '127.0.0.1', scheme: 'http' },
    method: 'POST',
    path: '/a%20b/%C3%BC?x=1%202',
    headers: {
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      cookie: 'a=b',
      authorization: 'Bearer app',
      'x-kept': 'yes',
    },
    body: '{"a":1}',
  })
  await ann('POST', `/api/apps/${app}/proxy`, { method: 'GET', path: '//other.host/x', body: 'dropped' })
  expect(calls.at(-1)).toMatchObject({
    method: 'GET',
    path: '//other.host/x',
    headers: { 'accept-encoding': 'identity' },
  })
  expect(calls.at(-1)).not.toHaveProperty('body')
})

test.each([
  [{ method: 'GET', path: 'x' }],
  [{ method: 'GET', path: 'http://evil/' }],
  [{ method: 'TRACE', path: '/' }],
  [{ method: 'GET', path: '/', headers: { 'a b': 'x' } }],
  [{ method: 'GET', path: '/', headers: { 'x-a': 'x\r\nhost: evil' } }],
  [{ method: 'GET', path: '/', headers: { 'x-a': '\u2028' } }],
])('%j is no request', async (body) => {
  const app = await deployed()
  const before = calls.length
  expect(await ann('POST', `/api/apps/${app}/proxy`, body)).toMatchObject({
    status: 422,
    body: { code: 'FP_INVALID_FIELDS' },
  })
  expect(calls).toHaveLength(before)
})

test('logs come from the runtime', async () => {
  const app = await deployed()
  expect((await ann('GET', `/api/apps/${app}/logs?lines=5`)).body).toEqual({
    lines: ['a line', '[fp] a note'],
  })
  expect(await ann('GET', `/api/apps/${app}/logs?lines=0`)).toMatchObject({ status: 422 })
})
