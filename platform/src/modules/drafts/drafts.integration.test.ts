import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

let bench: ModulesBench
let ann: Requests

beforeAll(async () => {
  bench = await modulesBench()
  ann = bench.as('u_ann')
})
afterAll(async () => bench[Symbol.asyncDispose]())

const makeApp = async (): Promise<string> =>
  (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
const save = (app: string, files: object, revision?: number) =>
  ann('PUT', `/api/apps/${app}/draft`, { files, ...(revision === undefined ? {} : { revision }) })

test('a save replaces all files and increases the revision', async () => {
  const app = await makeApp()
  const files = { 'app.py': '1', 'a.b/$c.py': 'x', 'lib/__init__.py': '' }
  expect(await save(app, files, 1)).toMatchObject({ status: 200, body: { files, revision: 2 } })
  expect((await save(app, { 'app.py': '2' }, 2)).body.files).toEqual({ 'app.py': '2' })
  expect((await ann('GET', `/api/apps/${app}/draft`)).body).toMatchObject({
    files: { 'app.py': '2' },
    revision: 3,
  })
})

test('of two users who edited the same revision one gets a conflict with the present one', async () => {
  const app = await makeApp()
  const both = await Promise.all([save(app, { 'app.py': 'a' }, 1), save(app, { 'app.py': 'b' }, 1)])
  expect(both.map((one) => one.status).sort()).toEqual([200, 409])
  const won = both.find((one) => one.status === 200)!
  expect(both.find((one) => one.status === 409)!.body).toMatchObject({
    code: 'FP_DRAFT_CONFLICT',
    details: { revision: 2, updated_at: won.body.updated_at },
  })
  expect((await ann('GET', `/api/apps/${app}/draft`)).body.files).toEqual(won.body.files)
  // Without a revision any draft is replaced.
  expect(await save(app, { 'app.py': 'c' })).toMatchObject({ status: 200, body: { revision: 3 } })
})

test('exactly one of twenty concurrent saves succeeds, each time', async () => {
  const app = await makeApp()
  for (let revision = 1; revision <= 3; revision++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => save(app, { 'app.py': `${n}` }, revision)),
    )
    expect(answers.filter((one) => one.status === 200)).toHaveLength(1)
    expect(answers.filter((one) => one.status === 409)).toHaveLength(19)
  }
})

test('files over a limit are not saved, and the error names the limit', async () => {
  const app = await makeApp()
  const big = 'x'.repeat(100 * 1024)
  const cases: [object, string][] = [
    [{ ...HELLO, '../x.py': '' }, 'FP_FILE_PATH'],
    [{ ...HELLO, 'x\n.py': '' }, 'FP_FILE_PATH'],
    [{ ...HELLO, 'x.exe': '' }, 'FP_FILE_EXTENSION'],
    [{ 'app.py': `${big}x` }, 'FP_FILE_TOO_LARGE'],
    [
      Object.fromEntries(['app.py', 'a.py', 'b.py', 'c.py', 'd.py', 'e.py'].map((name) => [name, big])),
      'FP_FILES_TOO_LARGE',
    ],
    [Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`f${n}.py`, ''])), 'FP_TOO_MANY_FILES'],
    [{ 'main.js': '' }, 'FP_ENTRYPOINT_MISSING'],
  ]
  for (const [files, code] of cases) {
    expect((await save(app, files)).body).toMatchObject({ code })
    expect((await ann('POST', '/api/apps', { name: 'x', files })).body).toMatchObject({ code })
    expect((await ann('POST', `/api/apps/${app}/deploy`, { files })).body).toMatchObject({ code })
    expect((await ann('POST', '/api/validate', { files })).body).toMatchObject({ code })
  }
  expect((await ann('GET', `/api/apps/${app}/draft`)).body).toMatchObject({ files: HELLO, revision: 1 })
  expect(await save(app, { 'app.py': 'x'.repeat(5 * 1024 * 1024) })).toMatchObject({
    status: 413,
    body: { code: 'FP_BODY_TOO_LARGE' },
  })
})

test('the largest set that is allowed is saved, deployed and read', async () => {
  const app = await makeApp()
  // JSON escapes every character.
  const files = Object.fromEntries(
    ['app.py', 'a.py', 'b.py', 'c.py', 'd.py'].map((name) => [name, '"\n'.repeat(50 * 1024)]),
  )
  expect(await save(app, files)).toMatchObject({ status: 200 })
  expect((await ann('POST', `/api/apps/${app}/deploy`, { files })).status).toBe(202)
  expect((await ann('GET', `/api/apps/${app}`)).body.draft.files).toEqual(files)
})
