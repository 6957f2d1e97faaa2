import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench } from '../../../test/modules.ts'

interface Operation {
  readonly method: 'GET'
  readonly path: string
}

let bench: ModulesBench
let owned: { app: string; deployment: string }
let operations: Operation[]

beforeAll(async () => {
  bench = await modulesBench()
  const ann = bench.as('u_ann')
  const app = (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
  const deployment = (await ann('POST', `/api/apps/${app}/deploy`, {})).body.deployment_id
  await ann('GET', `/api/apps/${app}/deployments/${deployment}/events`)
  owned = { app, deployment }
  const document = (await ann('GET', '/api/openapi.json')).body as { paths: Record<string, object> }
  operations = Object.entries(document.paths)
    .filter(([path]) => path.includes('{app_id}'))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase() as 'GET', path })),
    )
})
afterAll(() => bench[Symbol.asyncDispose]())

/** Each body is wrong for some route, in a way that is checked before, during or after the lookup of the app. */
const BODIES: Readonly<Record<string, { payload?: string; type?: string }>> = {
  'no body': {},
  'an empty object': { payload: '{}', type: 'application/json' },
  'fields of the wrong type': {
    payload: '{"files":7,"method":{},"path":7,"version":"x","name":[]}',
    type: 'application/json',
  },
  'a request to pass on that is not allowed': {
    payload: '{"method":"GET","path":"/","headers":{"a b":"c"}}',
    type: 'application/json',
  },
  'no JSON': { payload: '{', type: 'application/json' },
  'another type': { payload: 'a=b', type: 'application/x-www-form-urlencoded' },
  'too large a body': { payload: JSON.stringify('x'.repeat(5 * 1024 * 1024)), type: 'application/json' },
}

async function call(user: string, { method, path }: Operation, appId: string, body: keyof typeof BODIES) {
  const { payload, type } = BODIES[body]!
  const url = path
    .replace('{app_id}', appId)
    .replace('{deployment_id}', owned.deployment)
    .replace('{version}', '1')
    .replace(/\{\w+\}/g, 'x')
  const response = await bench.api.inject({
    method,
    url,
    headers: { authorization: `Bearer ${user}`, ...(type && { 'content-type': type }) },
    ...(payload !== undefined && { payload }),
  })
  const { code, message, details } = response.json() as Record<string, string>
  return { status: response.statusCode, code, message: message?.replaceAll(appId, 'APP'), details }
}

describe('an app of another user', () => {
  test('has routes in the OpenAPI document', () => {
    expect(operations.length).toBeGreaterThan(10)
    expect(operations).toContainEqual({ method: 'POST', path: '/api/apps/{app_id}/proxy' })
  })

  test.each(Object.keys(BODIES))('looks like a missing one on every route, with %s', async (body) => {
    for (const operation of operations) {
      const where = `${operation.method} ${operation.path}`
      const foreign = await call('u_bob', operation, owned.app, body)
      expect(foreign, where).toMatchObject({ status: 404, code: 'FP_APP_NOT_FOUND' })
      expect(foreign, where).toEqual(await call('u_bob', operation, 'nosuchapp', body))
    }
  })

  test('is not changed by all these requests', async () => {
    const app = await bench.as('u_ann')('GET', `/api/apps/${owned.app}`)
    expect(app).toMatchObject({ status: 200, body: { name: 'a' } })
  })
})
