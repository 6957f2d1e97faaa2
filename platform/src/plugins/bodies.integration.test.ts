import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPlatform, type Answer, type TestPlatform, type TestUser } from '../../test/platform.ts'
import { BODY_LIMITS } from './body-limits.ts'

let test: TestPlatform
let user: TestUser
let appId: string
beforeAll(async () => {
  test = await startTestPlatform()
  user = await test.user()
  appId = (await user.request('POST', '/api/apps', { name: 'bodies' })).body.app_id
})
afterAll(() => test[Symbol.asyncDispose]())

const send = (method: string, path: string, body: string): Promise<Answer> => user.request(method, path, body)

describe('the limits of bodies', () => {
  it('every route has its own limit, documents it, and enforces it', async () => {
    const { body: api } = await test.request('GET', '/api/openapi.json')
    const limits: Record<string, number> = {}
    for (const [path, operations] of Object.entries<
      Record<string, { 'x-body-limit'?: number; requestBody?: object }>
    >(api.paths)) {
      for (const [verb, operation] of Object.entries(operations)) {
        // Uploads are read as they arrive, and have limits of their own.
        if (
          verb === 'get' ||
          (operation.requestBody && !JSON.stringify(operation.requestBody).includes('/json'))
        )
          continue
        const limit = operation['x-body-limit'] ?? BODY_LIMITS.small
        const target = path.replace('{app_id}', appId)
        const answer = await send(verb.toUpperCase(), target, JSON.stringify('x'.repeat(limit)))
        expect([target, answer.status, answer.body?.code]).toEqual([target, 413, 'FP_BODY_TOO_LARGE'])
        expect(answer.body.message).toContain(String(limit))
        if (limit > BODY_LIMITS.small) limits[`${verb} ${path}`] = limit
      }
    }
    expect(limits).toEqual({
      'post /api/apps': BODY_LIMITS.files,
      'patch /api/apps/{app_id}': BODY_LIMITS.variables,
      'post /api/apps/{app_id}/proxy': BODY_LIMITS.call,
      'post /api/apps/{app_id}/proxy/stream': BODY_LIMITS.call,
      'put /api/apps/{app_id}/draft': BODY_LIMITS.files,
      'post /api/apps/{app_id}/deploy': BODY_LIMITS.files,
      'post /api/validate': BODY_LIMITS.files,
    })
  })

  it('a body without a session is not read on a route that needs one', async () => {
    const answer = await test.request('PUT', '/api/apps/none/draft', {
      body: 'x'.repeat(BODY_LIMITS.files + 1),
    })
    expect(answer.status).toBe(401)
  })

  it.each([
    ['as many variables as fit', `{"env_vars":{${many((n) => `"V${n}":""`)}}}`, 'values'],
    ['as many unknown fields as fit', `{${many((n) => `"f${n}":0`)}}`, 'values'],
    ['deep objects', '{"a":'.repeat(100_000), 'deep'],
  ])('%s are refused without being parsed or checked', async (_what, body, word) => {
    const answer = await send('PATCH', `/api/apps/${appId}`, body)
    expect([answer.status, answer.body.code]).toEqual([422, 'FP_BODY_TOO_COMPLEX'])
    expect(answer.body.message).toContain(word)
    expect(answer.text.length).toBeLessThan(1_000)
  })

  it('too many variables have an error of their own', async () => {
    const variables = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`V${n}`, 'x']))
    const answer = await user.request('PATCH', `/api/apps/${appId}`, { env_vars: variables })
    expect([answer.status, answer.body.code]).toEqual([422, 'FP_TOO_MANY_ENV_VARS'])
  })

  it('an answer lists a limited number of errors', async () => {
    const fields = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`f${n}`, [n]]))
    const answer = await user.request('PUT', `/api/apps/${appId}/draft`, { files: fields, ...fields })
    expect(answer.status).toBe(422)
    expect(answer.text.length).toBeLessThan(10_000)
    const wide = await user.request('POST', '/api/auth/login', {
      username: 'x',
      password: 'y',
      ['f'.repeat(3_000)]: 1,
    })
    expect([wide.status, wide.body.code]).toEqual([422, 'FP_INVALID_FIELDS'])
    expect(wide.text.length).toBeLessThan(2_000)
  })

  it('the largest draft is saved and read unchanged through the thread', async () => {
    const files: Record<string, string> = { 'app.py': '' }
    for (let n = 0; n < 49; n++) files[`f${n}.py`] = `#${'\u0001ü"'.repeat(2_400)}\n`
    const saved = await user.request('PUT', `/api/apps/${appId}/draft`, { files })
    expect(saved.status).toBe(200)
    expect((await user.request('GET', `/api/apps/${appId}/draft`)).body.files).toEqual(files)
  })

  it('the concurrent large bodies of one user are limited, and others still have room', async () => {
    const large = JSON.stringify({ files: { 'app.py': 'x'.repeat(1_900_000) } })
    const answers = await Promise.all(Array.from({ length: 8 }, () => send('POST', '/api/validate', large)))
    const codes = answers.map((answer) => answer.body.code).sort()
    expect(new Set(codes)).toEqual(new Set(['FP_FILE_TOO_LARGE', 'FP_UNAVAILABLE']))
    const refused = answers.find((answer) => answer.status === 503)!
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await send('POST', '/api/validate', large)).body.code).toBe('FP_FILE_TOO_LARGE')
  })
})

function many(member: (n: number) => string): string {
  return Array.from({ length: 60_000 }, (_, n) => member(n)).join()
}
