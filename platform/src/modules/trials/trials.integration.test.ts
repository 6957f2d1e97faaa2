import type { Finding } from '@fp/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { fakeRuntime } from '../../../test/fake-runtime.ts'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'
import type { AppSpec, CheckResult } from '../../runtime/runtime.ts'

let bench: ModulesBench
let ann: Requests
let specs: AppSpec[] = []
let result: CheckResult | Promise<CheckResult> = { ok: true }
const removed: string[] = []

beforeAll(async () => {
  bench = await modulesBench({
    runtime: fakeRuntime({
      trial: {
        check: async (spec) => {
          specs.push(spec)
          return result
        },
      },
      cleanup: {
        removeApp: async (appId) => void removed.push(appId),
      },
    }),
  })
  ann = bench.as('u_ann')
})
afterAll(async () => bench[Symbol.asyncDispose]())
beforeEach(() => {
  specs = []
  result = { ok: true }
  bench.findings = []
})

const place = { file: 'app.py', line: 1, column: 1, end_line: 1, end_column: 2, rule: 'r', message: 'm' }
const error: Finding = { ...place, severity: 'error' }
const warning: Finding = { ...place, severity: 'warning' }

test('code is checked and not stored', async () => {
  bench.findings = [warning]
  expect((await ann('POST', '/api/validate', { code: 'x' })).body).toEqual({
    valid: true,
    findings: [warning],
    entrypoint: 'app:app',
    failure: null,
  })
  bench.findings = [error]
  const answer = await ann('POST', '/api/validate', { files: HELLO, dry_load: true })
  expect(answer.body).toEqual({
    valid: false,
    findings: [error],
    entrypoint: 'app:app',
    failure: null,
  })
  expect(specs).toEqual([])
  for (const body of [{}, { code: 'x', files: HELLO }]) {
    expect(await ann('POST', '/api/validate', body)).toMatchObject({
      status: 422,
      body: { code: 'FP_INVALID_FIELDS' },
    })
  }
})

test('a dry load imports the code with its author’s database, reports exceptions, and stores nothing', async () => {
  const failure = { code: 'FP_APP_CRASHED', message: 'KeyError', traceback: 'T', file: 'app.py', line: 2 }
  result = { ok: false, failure }
  const answer = await ann('POST', '/api/validate', { files: HELLO, dry_load: true })
  expect(answer.body).toMatchObject({ valid: false, findings: [], failure })
  expect(specs[0]).toMatchObject({
    version: 0,
    sequence: 0,
    files: HELLO,
    entrypoint: 'app:app',
    env: { PLATFORM_MONGO_URI: expect.stringContaining('fp_u_ann') },
  })
  expect(removed).toContain(specs[0]!.appId)
})

test('a dry load that hangs delays only its own user’s next one, and each has its own system user', async () => {
  const hanging = Promise.withResolvers<CheckResult>()
  result = hanging.promise
  const load = (user: Requests) => user('POST', '/api/validate', { files: HELLO, dry_load: true })
  const loads = Array.from({ length: 7 }, () => load(ann))
  const refused = await Promise.race(loads)
  expect(refused).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2' },
    body: { code: 'FP_QUEUE_FULL', details: { limit: 'dry_loads_waiting_per_account', most: 5 } },
  })
  await vi.waitFor(() => expect(specs).toHaveLength(1))
  result = { ok: true }
  expect(await load(bench.as('u_bob'))).toMatchObject({ status: 200, body: { valid: true } })
  expect(new Set(specs.map(({ sequence }) => sequence)).size).toBe(2)
  hanging.resolve({ ok: true })
  const answers = await Promise.all(loads)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(6)
})
