import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

let bench: ModulesBench
let ann: Requests
let bob: Requests

beforeAll(async () => {
  bench = await modulesBench()
  ann = bench.as('u_ann')
  bob = bench.as('u_bob')
})
afterAll(async () => bench[Symbol.asyncDispose]())

test('an app is created from files, from code, from a template or from the hello template', async () => {
  const files = await ann('POST', '/api/apps', { name: ' Shop ', files: { ...HELLO, 'lib/a.py': 'A = 1' } })
  expect(files.status, files.text).toBe(201)
  expect(files.body).toMatchObject({
    name: 'Shop',
    status: 'draft',
    live_version: null,
    has_unpublished_changes: true,
    idle_timeout_s: 900,
    last_failure: null,
    asleep_since: null,
    url: `http://app-${files.body.app_id}.localhost:8080`,
    draft: { files: { ...HELLO, 'lib/a.py': 'A = 1' }, revision: 1 },
    env_vars: [],
  })
  expect(files.body.app_id).toMatch(/^[a-z0-9]+$/)

  const code = await ann('POST', '/api/apps', { name: 'code', code: 'app = 1' })
  expect(code.body.draft.files).toEqual({ 'app.py': 'app = 1' })

  const template = await ann('POST', '/api/apps', { name: 't', template_id: 'crud-mongodb' })
  expect(template.body.draft.files['app.py']).toContain('PLATFORM_MONGO_URI')
  const hello = await ann('POST', '/api/apps', { name: 'h' })
  expect(hello.body.draft.files['app.py']).toContain('FastAPI')

  const both = await ann('POST', '/api/apps', { name: 'x', code: '', files: HELLO })
  expect(both).toMatchObject({ status: 422, body: { code: 'FP_INVALID_FIELDS' } })
  const unknown = await ann('POST', '/api/apps', { name: 'x', template_id: 'no-such' })
  expect(unknown).toMatchObject({ status: 404, body: { code: 'FP_TEMPLATE_NOT_FOUND' } })
})

test.each([
  ['no name', {}],
  ['an empty name', { name: '  ' }],
  ['a long name', { name: 'x'.repeat(81) }],
  ['files of a wrong type', { name: 'x', files: { 'app.py': 1 } }],
  ['a field that does not exist', { name: 'x', nope: 1 }],
])('%s is refused', async (_, body) => {
  expect(await ann('POST', '/api/apps', body)).toMatchObject({
    status: 422,
    body: { code: 'FP_INVALID_FIELDS' },
  })
})

test('lists are paged, newest first, and contain nothing of other users', async () => {
  const cat = bench.as('u_cat')
  const ids: string[] = []
  for (const name of ['1', '2', '3', '4', '5']) {
    ids.unshift((await cat('POST', '/api/apps', { name, files: HELLO })).body.app_id)
  }
  await bob('POST', '/api/apps', { name: 'of bob', files: HELLO })

  const seen: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 5; pages++) {
    const page = await cat('GET', `/api/apps?limit=2${cursor && `&cursor=${cursor}`}`)
    expect(page.status, page.text).toBe(200)
    expect(page.body.items.length).toBeLessThanOrEqual(2)
    seen.push(...page.body.items.map((app: { app_id: string }) => app.app_id))
    cursor = page.body.next_cursor
    if (!cursor) break
    // An app created meanwhile does not shift the pages.
    if (pages === 0) await cat('POST', '/api/apps', { name: 'new', files: HELLO })
  }
  expect(seen).toEqual(ids)

  for (const bad of ['x', 'YXBwczox', Buffer.from('versions:1').toString('base64url')]) {
    const answer = await cat('GET', `/api/apps?cursor=${bad}`)
    if (bad === 'YXBwczox') expect(answer.status).toBe(200)
    else expect(answer).toMatchObject({ status: 400, body: { code: 'FP_INVALID_CURSOR' } })
  }
  expect(await cat('GET', '/api/apps?limit=0')).toMatchObject({ status: 422 })
})

test("another user's ids are answered exactly like unknown ones, for admins too", async () => {
  const app = (await ann('POST', '/api/apps', { name: 'mine', files: HELLO })).body.app_id
  const deployment = (await ann('POST', `/api/apps/${app}/deploy`, {})).body.deployment_id
  const ways: [Parameters<Requests>[0], string, unknown?][] = [
    ['GET', ''],
    ['PATCH', '', { name: 'x' }],
    ['DELETE', ''],
    ['POST', '/clone', {}],
    ['GET', '/draft'],
    ['PUT', '/draft', { files: HELLO }],
    ['POST', '/deploy', {}],
    ['POST', '/deploy', { files: HELLO }],
    ['GET', '/deployments'],
    ['GET', `/deployments/${deployment}`],
    ['GET', `/deployments/${deployment}/events`],
    ['GET', '/versions'],
    ['GET', '/versions/1'],
    ['POST', '/rollback', { version: 1 }],
    ['POST', '/sleep'],
    ['POST', '/wake'],
    ['POST', '/proxy', { method: 'GET', path: '/' }],
    ['GET', '/logs'],
  ]
  const plain = (answer: { text: string }, id: string): string =>
    answer.text.replaceAll(id, 'ID').replace(/"request_id":"[^"]*"/, '')
  for (const [method, way, body] of ways) {
    const theirs = await bob(method, `/api/apps/${app}${way}`, body)
    const nobodys = await bob(method, `/api/apps/nosuchapp000${way}`, body)
    expect(theirs.status, `${method} ${way}: ${theirs.text}`).toBe(404)
    expect(theirs.body.code).toBe('FP_APP_NOT_FOUND')
    expect(plain(theirs, app), `${method} ${way}`).toBe(plain(nobodys, 'nosuchapp000'))
  }
  expect((await ann('GET', `/api/apps/${app}`)).body.name).toBe('mine')
  // A deployment of another own app is not one of this app.
  const other = (await ann('POST', '/api/apps', { name: 'other', files: HELLO })).body.app_id
  expect(await ann('GET', `/api/apps/${other}/deployments/${deployment}`)).toMatchObject({
    status: 404,
    body: { code: 'FP_DEPLOYMENT_NOT_FOUND' },
  })
})

test('name and idle timeout change, and the gate is notified of the latter', async () => {
  const app = (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
  const routed: string[] = []
  const listen = ({ appId }: { appId: string }): void => {
    // Notifications about deploys of earlier tests may still arrive.
    if (appId === app) routed.push(appId)
  }
  bench.changes.on('routed', listen)
  const renamed = await ann('PATCH', `/api/apps/${app}`, { name: 'b' })
  expect(renamed.body).toMatchObject({ name: 'b', idle_timeout_s: 900 })
  expect(routed).toEqual([])
  await ann('PATCH', `/api/apps/${app}`, { idle_timeout_s: 60 })
  expect(new Set(routed)).toEqual(new Set([app]))
  expect(await bench.services.route(app)).toEqual({
    appId: app,
    ownerId: 'u_ann',
    key: null,
    idleTimeout: 60_000,
  })
  expect(await bench.services.route('nosuchapp000')).toBeUndefined()
  bench.changes.off('routed', listen)
})

test('a clone has the draft and the environment, and secrets stay secret', async () => {
  const env_vars = { PLAIN: 'p', TOKEN: { value: 'hush', secret: true } }
  const app = (await ann('POST', '/api/apps', { name: 'original', files: HELLO, env_vars })).body.app_id
  await ann('PATCH', `/api/apps/${app}`, { idle_timeout_s: 77 })
  const clone = await ann('POST', `/api/apps/${app}/clone`, {})
  expect(clone.status, clone.text).toBe(201)
  expect(clone.body).toMatchObject({
    name: 'original (copy)',
    status: 'draft',
    idle_timeout_s: 77,
    draft: { files: HELLO, revision: 1 },
    env_vars: [
      { name: 'PLAIN', value: 'p', secret: false },
      { name: 'TOKEN', value: null, secret: true },
    ],
  })
  const found = await bench.services.apps.find('u_ann', clone.body.app_id)
  expect(await bench.services.openEnv(found)).toEqual({ PLAIN: 'p', TOKEN: 'hush' })
})

test('templates are listed in order, with their files on request', async () => {
  const list = await ann('GET', '/api/templates')
  expect(list.body.items[0].template_id).toBe('hello-api')
  expect(list.body.items.map((one: { template_id: string }) => one.template_id)).toContain('bookstore')
  const one = await ann('GET', '/api/templates/bookstore')
  expect(Object.keys(one.body.files)).toContain('routers/books.py')
  expect(Object.keys(one.body.files)).not.toContain('template.json')
  expect(await ann('GET', '/api/templates/none')).toMatchObject({
    status: 404,
    body: { code: 'FP_TEMPLATE_NOT_FOUND' },
  })
})

test('every route is described', async () => {
  const openapi = (await ann('GET', '/api/openapi.json')).body
  const mine = Object.entries(openapi.paths as Record<string, Record<string, Record<string, unknown>>>)
    .filter(([path]) => !path.startsWith('/api/auth') && path.startsWith('/api/'))
    .flatMap(([path, ways]) =>
      Object.entries(ways).map(([method, way]) => ({ at: `${method} ${path}`, ...way })),
    )
  expect(mine.length).toBeGreaterThanOrEqual(22)
  for (const route of mine) {
    expect(route, route.at).toMatchObject({
      operationId: expect.any(String),
      summary: expect.any(String),
      tags: [expect.any(String)],
    })
  }
})

test('a user’s apps with storage are limited; an app with storage turned off counts, a deleted one does not', async () => {
  const eve = bench.as('u_eve')
  const make = async (): Promise<string> =>
    (await eve('POST', '/api/apps', { name: 's' })).body.app_id as string
  const turnOn = (app: string) => eve('PATCH', `/api/apps/${app}`, { storage: true })
  const apps = await Promise.all([make(), make(), make(), make(), make()])
  const answers = await Promise.all(apps.map(turnOn))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 409, 409])
  const refused = answers.find(({ status }) => status === 409)!
  expect(refused.body).toMatchObject({ code: 'FP_STORAGE_LIMIT', details: { count: 3, limit: 3 } })
  const [stored] = apps.filter((_, n) => answers[n]!.status === 200)
  const other = apps.find((_, n) => answers[n]!.status === 409)!
  await eve('PATCH', `/api/apps/${stored!}`, { storage: false })
  expect((await turnOn(other)).status).toBe(409)
  expect((await turnOn(stored!)).status).toBe(200)
  expect((await eve('POST', `/api/apps/${stored!}/clone`)).body.code).toBe('FP_STORAGE_LIMIT')
  await eve('DELETE', `/api/apps/${stored!}`)
  expect((await turnOn(other)).status).toBe(200)
})

test('turning storage on restarts a live app, and is refused with the reason if there is no storage', async () => {
  const app = (await ann('POST', '/api/apps', { name: 's', files: HELLO })).body
  expect(app.storage).toBe(false)
  await ann('POST', `/api/apps/${app.app_id}/deploy`)
  await bench.services.deployments.idle()
  const before = (await bench.services.route(app.app_id))!.key!
  expect((await bench.services.specOf(before)).storage).toBe(false)
  const on = await ann('PATCH', `/api/apps/${app.app_id}`, { storage: true })
  expect(on).toMatchObject({ status: 200, body: { storage: true } })
  // Another target, as the running one has no storage.
  const after = (await bench.services.route(app.app_id))!.key!
  expect(after).not.toBe(before)
  expect(await bench.services.specOf(after)).toMatchObject({
    storage: true,
    env: { PLATFORM_DATA_DIR: '/data' },
  })
  // Only one instance may write its files.
  expect(await bench.services.route(app.app_id)).toMatchObject({ maxReplicas: 1 })
  // The same setting again starts no new target.
  await ann('PATCH', `/api/apps/${app.app_id}`, { storage: true })
  expect((await bench.services.route(app.app_id))!.key).toBe(after)
  const clone = (await ann('POST', `/api/apps/${app.app_id}/clone`)).body
  expect(clone.storage).toBe(true)

  bench.storageProblem = 'it needs root'
  const refused = await ann(
    'PATCH',
    `/api/apps/${(await ann('POST', '/api/apps', { name: 't' })).body.app_id}`,
    {
      storage: true,
    },
  )
  expect(refused).toMatchObject({ status: 409, body: { code: 'FP_STORAGE_UNAVAILABLE' } })
  expect(refused.body.message).toContain('it needs root')
  bench.storageProblem = undefined
})
