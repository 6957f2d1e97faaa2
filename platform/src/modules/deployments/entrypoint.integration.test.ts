import { once } from 'node:events'
import { afterAll, expect, test } from 'vitest'
import { HELLO, modulesBench } from '../../../test/modules.ts'
import { MIGRATIONS } from '../../migrations/index.ts'

/** The entrypoint that the validator finds when none is set. */
let found: string | null = 'main:app'
const bench = await modulesBench({
  validate: async (_files, { entrypoint }) => ({ findings: [], entrypoint: entrypoint ?? found }),
})
afterAll(() => bench[Symbol.asyncDispose]())
const ann = bench.as('u_ann')

const make = async (body: object = {}): Promise<string> =>
  (await ann('POST', '/api/apps', { name: 'a', files: HELLO, ...body })).body.app_id
/** Deploys, and resolves to the entrypoint with which the live version is started. */
async function deployed(
  app: string,
  call = () => ann('POST', `/api/apps/${app}/deploy`, {}),
): Promise<string> {
  const live = once(bench.events, 'deployment.live')
  expect((await call()).status).toBe(202)
  await live
  return (await bench.services.specOf((await bench.services.route(app))?.key ?? '')).entrypoint
}
const get = async (app: string): Promise<Record<string, unknown>> =>
  (await ann('GET', `/api/apps/${app}`)).body

test('a found entrypoint is recorded in the version, and a rollback serves it again', async () => {
  const app = await make()
  found = 'main:app'
  expect(await deployed(app)).toBe('main:app')
  found = 'src/main:create_app()'
  expect(await deployed(app)).toBe('src/main:create_app()')
  const versions = (await ann('GET', `/api/apps/${app}/versions`)).body.items
  expect(versions.map((version: { entrypoint: string }) => version.entrypoint)).toEqual([
    'src/main:create_app()',
    'main:app',
  ])
  expect(await deployed(app, () => ann('POST', `/api/apps/${app}/rollback`, { version: 1 }))).toBe('main:app')
})

test('the owner sets it for the next deploy and clears it again', async () => {
  const app = await make()
  found = 'main:app'
  await deployed(app)
  expect(await get(app)).toMatchObject({ entrypoint: null, has_unpublished_changes: false })
  const patch = (entrypoint: unknown) => ann('PATCH', `/api/apps/${app}`, { entrypoint })
  expect((await patch(' api:web ')).body).toMatchObject({
    entrypoint: 'api:web',
    has_unpublished_changes: true,
  })
  expect(await deployed(app)).toBe('api:web')
  expect(await get(app)).toMatchObject({ has_unpublished_changes: false })
  expect((await patch(null)).body).toMatchObject({ entrypoint: null, has_unpublished_changes: true })
  expect(await deployed(app)).toBe('main:app')
})

test('a new app can have an entrypoint, and a clone keeps it', async () => {
  const app = await make({ entrypoint: 'src/main.py' })
  expect(await get(app)).toMatchObject({ entrypoint: 'src/main.py' })
  expect((await ann('POST', `/api/apps/${app}/clone`, {})).body).toMatchObject({ entrypoint: 'src/main.py' })
})

test.each(['../main.py', 'main app', ':app'])(
  '%s is refused with the ways to write it',
  async (entrypoint) => {
    const app = await make()
    expect(await ann('PATCH', `/api/apps/${app}`, { entrypoint })).toMatchObject({
      status: 422,
      body: { code: 'FP_INVALID_FIELDS', message: expect.stringContaining('app.main:app') },
    })
    expect((await ann('POST', '/api/apps', { name: 'a', files: HELLO, entrypoint })).status).toBe(422)
  },
)

test('versions from before the entrypoint was recorded serve app.py', async () => {
  const app = await make()
  await deployed(app)
  await bench.mongo.db.collection('versions').updateMany({ appId: app }, { $unset: { entrypoint: 1 } })
  for (const migration of MIGRATIONS) await migration.up(bench.mongo.db)
  const key = (await bench.services.route(app))?.key ?? ''
  expect((await bench.services.specOf(key)).entrypoint).toBe('app.py')
})
