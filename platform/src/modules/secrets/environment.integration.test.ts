import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

const SECRET = 'correct-horse-battery-staple'

let bench: ModulesBench
let ann: Requests

beforeAll(async () => {
  bench = await modulesBench()
  ann = bench.as('u_ann')
})
afterAll(async () => bench[Symbol.asyncDispose]())
beforeEach(() => void (bench.targets.hold = false))

async function deployed(env_vars: object = {}): Promise<string> {
  const app = (await ann('POST', '/api/apps', { name: 'a', files: HELLO, env_vars })).body.app_id
  const { deployment_id } = (await ann('POST', `/api/apps/${app}/deploy`, {})).body
  await ann('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  return app
}
const key = async (app: string): Promise<string> => (await bench.services.route(app))!.key!

test('a target is started with the app’s variables and those of the platform', async () => {
  const app = await deployed({ GREETING: 'hi', TOKEN: { value: SECRET, secret: true } })
  const spec = await bench.services.specOf(await key(app))
  expect(spec).toMatchObject({
    appId: app,
    version: 1,
    key: await key(app),
    entrypoint: 'app:app',
    files: HELLO,
  })
  expect(spec.env).toMatchObject({
    GREETING: 'hi',
    TOKEN: SECRET,
    FP_APP_ID: app,
    FP_VERSION: '1',
    PORT: '8000',
  })
  expect(spec.env['PLATFORM_MONGO_URI']).toMatch(
    /^mongodb:\/\/fp_u_ann:[\w-]+@(127\.0\.0\.1:\d+|[\w%.-]+\.sock)\/fp_u_ann\?authSource=fp_u_ann&/,
  )
  expect(spec.sequence).toBeGreaterThan(0)
})

test('a change restarts an awake app as a new target, without a deploy', async () => {
  const app = await deployed({ A: '1' })
  const old = await key(app)
  const answer = await ann('PATCH', `/api/apps/${app}`, { env_vars: { A: '2', B: 'b' } })
  expect(answer.body.env_vars).toEqual([
    { name: 'A', value: '2', secret: false },
    { name: 'B', value: 'b', secret: false },
  ])
  const now = await key(app)
  expect(now).not.toBe(old)
  await expect.poll(() => bench.targets.awake.has(now)).toBe(true)
  expect(bench.targets.retired).toContain(old)
  expect((await bench.services.specOf(now)).env).toMatchObject({ A: '2', B: 'b' })
  expect((await ann('GET', `/api/apps/${app}/deployments`)).body.items).toHaveLength(1)
})

test('a sleeping app stays asleep, and setting the same values changes nothing', async () => {
  const app = await deployed({ A: '1' })
  await ann('POST', `/api/apps/${app}/sleep`)
  const old = await key(app)
  await ann('PATCH', `/api/apps/${app}`, { env_vars: { A: '1' } })
  expect(await key(app)).toBe(old)
  await ann('PATCH', `/api/apps/${app}`, { env_vars: { A: '2' } })
  expect(await key(app)).not.toBe(old)
  expect(bench.targets.woken).not.toContain(await key(app))
  expect((await ann('GET', `/api/apps/${app}`)).body).toMatchObject({ status: 'sleeping' })
})

test('concurrent changes are all saved', async () => {
  const app = await deployed()
  const names = Array.from({ length: 8 }, (_, n) => `V${n}`)
  const answers = await Promise.all(
    names.map((name) => ann('PATCH', `/api/apps/${app}`, { env_vars: { [name]: 'x' } })),
  )
  expect(answers.map((one) => one.status)).toEqual(names.map(() => 200))
  expect(
    (await ann('GET', `/api/apps/${app}`)).body.env_vars.map((one: { name: string }) => one.name),
  ).toEqual(names)
})

test('if the environment changes while a version starts, the live target has the new environment', async () => {
  const app = await deployed({ A: '1' })
  bench.targets.hold = true
  const { deployment_id } = (await ann('POST', `/api/apps/${app}/deploy`, { files: { 'app.py': '2' } })).body
  const stale = await bench.targets.next()
  await ann('PATCH', `/api/apps/${app}`, { env_vars: { A: '2' } })
  stale.succeed()
  // Two wakes follow: the old version's new target, and the deployment's second try.
  const wakes = [await bench.targets.next(), await bench.targets.next()]
  for (const wake of wakes) wake.succeed()
  await ann('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  const live = await key(app)
  expect(live).not.toBe(stale.key)
  expect(wakes.map((wake) => wake.key)).toContain(live)
  expect(bench.targets.retired).toContain(stale.key)
  expect(await bench.services.specOf(live)).toMatchObject({ version: 2, env: { A: '2' } })
})

test('wrong names have a clear error, and nothing of a refused change is saved', async () => {
  const app = await deployed({ A: '1' })
  for (const name of ['PORT', 'FP_X', 'A-B', 'LD_PRELOAD', 'a\nb']) {
    const answer = await ann('PATCH', `/api/apps/${app}`, {
      name: 'renamed',
      env_vars: { B: '2', [name]: 'x' },
    })
    expect(answer, name).toMatchObject({ status: 422, body: { code: 'FP_ENV_VAR_NAME' } })
  }
  expect((await ann('GET', `/api/apps/${app}`)).body).toMatchObject({
    name: 'a',
    env_vars: [{ name: 'A', value: '1' }],
  })
  const tooLong = await ann('PATCH', `/api/apps/${app}`, { env_vars: { B: 'x'.repeat(20_000) } })
  expect(tooLong).toMatchObject({ status: 422, body: { code: 'FP_INVALID_FIELDS' } })
})

test('a secret is in no answer, no log and no document', async () => {
  const texts: string[] = []
  const ask: Requests = async (...args) => {
    const answer = await ann(...args)
    texts.push(answer.text, JSON.stringify(answer.headers))
    return answer
  }
  const env_vars = { TOKEN: { value: SECRET, secret: true } }
  const app = (await ask('POST', '/api/apps', { name: 'a', files: HELLO, env_vars })).body.app_id
  const { deployment_id } = (await ask('POST', `/api/apps/${app}/deploy`, {})).body
  await ask('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  await ask('GET', '/api/apps')
  await ask('GET', `/api/apps/${app}`)
  await ask('PATCH', `/api/apps/${app}`, { env_vars: { TOKEN: SECRET, OTHER: 'x' } })
  await ask('PATCH', `/api/apps/${app}`, { env_vars: { TOKEN: { value: `${SECRET}2` } } })
  await ask('PATCH', `/api/apps/${app}`, { env_vars: { TOKEN: { value: `${SECRET}\0` } } })
  await ask('PATCH', `/api/apps/${app}`, { env_vars: { TOKEN: { value: SECRET, secrett: true } } })
  await ask('POST', `/api/apps/${app}/clone`, {})
  await ask('GET', `/api/apps/${app}/deployments`)
  await ask('GET', `/api/apps/${app}/versions/1`)
  const documents = await Promise.all(
    (await bench.mongo.db.collections()).map((collection) => collection.find().toArray()),
  )
  expect((await bench.services.specOf(await key(app))).env['TOKEN']).toBe(`${SECRET}2`)
  expect(texts.join()).not.toContain(SECRET)
  expect(JSON.stringify(documents)).not.toContain(SECRET)
  expect(bench.logged()).not.toContain(SECRET)
  expect(bench.logged()).not.toMatch(/mongodb:\/\/fp_u/)
})

test('an environment that is too large as a whole is refused, for a new app and at a change', async () => {
  const large = (names: string[]): object =>
    Object.fromEntries(names.map((name) => [name, 'x'.repeat(16_000)]))
  const names = Array.from({ length: 17 }, (_, n) => `V${n}`)
  const refused = { status: 422, body: { code: 'FP_ENV_VARS_TOO_LARGE', details: { limit: 262_144 } } }
  expect(await ann('POST', '/api/apps', { name: 'a', env_vars: large(names) })).toMatchObject(refused)
  const made = await ann('POST', '/api/apps', { name: 'a', env_vars: large(names.slice(1)) })
  expect(made.status).toBe(201)
  const at = `/api/apps/${made.body.app_id}`
  expect(await ann('PATCH', at, { env_vars: large(names.slice(0, 1)) })).toMatchObject(refused)
  expect(await ann('PATCH', at, { env_vars: { ...large(['V0']), V1: null } })).toMatchObject({ status: 200 })
})
