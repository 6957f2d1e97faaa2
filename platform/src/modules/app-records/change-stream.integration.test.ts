import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fakeClusterRuntime } from '../../../test/fake-runtime.ts'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

/** Two replicas on one database: each notices the changes of the other. */
let one: ModulesBench
let two: ModulesBench
let ann: Requests

beforeAll(async () => {
  const runtime = fakeClusterRuntime()
  one = await modulesBench({ runtime })
  two = await modulesBench({ runtime, db: one.mongo.db, client: one.mongo.client })
  ann = one.as('u_ann')
})
afterAll(async () => {
  await two[Symbol.asyncDispose]()
  await one[Symbol.asyncDispose]()
})

async function liveApp(): Promise<string> {
  const app = (await ann('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
  const routed = once(two.changes, 'routed')
  await ann('POST', `/api/apps/${app}/deploy`, {})
  expect(await routed).toEqual([{ appId: app }])
  return app
}

test('the other replica notices a deploy, a new environment and a new idle timeout', async () => {
  const app = await liveApp()
  const route = await two.services.route(app)
  expect(route?.key).toMatch(new RegExp(`^${app}\\.1\\.`))
  for (const change of [{ env_vars: { A: '1' } }, { idle_timeout_s: 120 }]) {
    const routed = once(two.changes, 'routed')
    await ann('PATCH', `/api/apps/${app}`, change)
    expect(await routed).toEqual([{ appId: app }])
  }
  expect(await two.services.route(app)).toMatchObject({ idleTimeout: 120_000 })
})

test('the other replica notices a deletion', async () => {
  const app = await liveApp()
  const deleted = once(two.changes, 'deleted')
  await ann('DELETE', `/api/apps/${app}`)
  expect(await deleted).toEqual([{ appId: app }])
})

test('a replaced target is never started, even if its retirement is no longer known', async () => {
  const app = await liveApp()
  const old = (await one.services.route(app))!.key!
  await one.services.specOf(old)
  await ann('PATCH', `/api/apps/${app}`, { env_vars: { A: '1' } })
  await expect(two.services.specOf(old)).rejects.toMatchObject({ code: 'SCALER_RETIRED' })
  await two.services.specOf((await two.services.route(app))!.key!)
})

test('every replica releases an app that its owner puts to sleep', async () => {
  const app = await liveApp()
  const key = (await one.services.route(app))!.key!
  // The replica that got the request has released its lock, and the other one holds the last.
  one.targets.busy.add(key)
  two.targets.awake.add(key)
  const slept = once(two.events, 'app.slept')
  const asked = ann('POST', `/api/apps/${app}/sleep`)
  await slept
  one.targets.awake.delete(key)
  expect(await asked).toMatchObject({ status: 200, body: { status: 'sleeping' } })
  expect(two.targets.awake).not.toContain(key)
})
