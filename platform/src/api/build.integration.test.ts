import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPlatform, type TestPlatform } from '../../test/platform.ts'

let test: TestPlatform
beforeAll(async () => {
  test = await startTestPlatform()
})
afterAll(() => test[Symbol.asyncDispose]())

describe('errors', () => {
  const post = (body: string, headers: Record<string, string> = {}) =>
    test.request('POST', '/api/auth/login', { body, headers })

  it.each([
    ['broken JSON', '{"a":', {}, 400, 'FP_INVALID_JSON'],
    ['an empty body', '', {}, 400, 'FP_INVALID_JSON'],
    ['a __proto__ key', '{"__proto__":{"a":1}}', {}, 400, 'FP_INVALID_JSON'],
    ['plain text', 'hello', { 'content-type': 'text/plain' }, 415, 'FP_UNSUPPORTED_MEDIA_TYPE'],
    [
      'a form',
      'a=1',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'FP_UNSUPPORTED_MEDIA_TYPE',
    ],
    ['another type', '<a/>', { 'content-type': 'application/xml' }, 415, 'FP_UNSUPPORTED_MEDIA_TYPE'],
    ['5 MB', JSON.stringify({ username: 'x'.repeat(5_000_000) }), {}, 413, 'FP_BODY_TOO_LARGE'],
    ['wrong types', '{"username":1,"password":true}', {}, 422, 'FP_INVALID_FIELDS'],
  ])('%s', async (_what, body, headers, status, code) => {
    const answer = await post(body, headers as Record<string, string>)
    expect([answer.status, answer.body?.code]).toEqual([status, code])
    expect(Object.keys(answer.body)).toEqual(expect.arrayContaining(['code', 'message', 'request_id']))
    expect(answer.headers.get('x-request-id')).toBe(answer.body.request_id)
  })

  it.each([
    ['GET', '/api/nothing'],
    ['DELETE', '/api/auth/login'],
    ['GET', '/api/../etc/passwd'],
    ['GET', '/_app/immutable/none.js'],
    ['POST', '/'],
  ])('%s %s is not found', async (method, path) => {
    const answer = await test.request(method, path)
    expect([answer.status, answer.body.code]).toEqual([404, 'FP_NOT_FOUND'])
  })

  it('answers 400 for a path that is not valid UTF-8', async () => {
    const answer = await test.request('GET', `/api/%E0%A4%A`)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ code: 'FP_BAD_REQUEST' })
  })
})

it('accepts no request id of an untrusted client', async () => {
  const answer = await test.request('GET', '/healthz', { headers: { 'x-request-id': 'mine' } })
  expect(answer.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{12}$/)
})

describe('operation', () => {
  it('is alive and ready', async () => {
    expect((await test.request('GET', '/healthz')).body).toEqual({ status: 'ok' })
    const { status, body } = await test.request('GET', '/readyz')
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: 'ok', parts: { mongodb: 'ok', resources: 'ok' } })
    for (const role of ['gate', 'api'])
      expect(body.descriptors[role].used).toBeLessThan(body.descriptors[role].limit)
    expect(body.processes.used).toBeLessThan(body.processes.limit)
  })

  it('shows metrics to programs of this machine, but not through a proxy', async () => {
    expect((await test.request('GET', '/metrics')).text).toMatch(/^fp_queue_depth 0$/m)
    const { status, body } = await test.request('GET', '/metrics', {
      headers: { 'x-forwarded-for': '192.0.2.1' },
    })
    expect([status, body.code]).toEqual([404, 'FP_NOT_FOUND'])
  })

  it('sends security headers', async () => {
    const { headers } = await test.request('GET', '/api/auth/me')
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('strict-origin-when-cross-origin')
    expect(headers.get('strict-transport-security')).toBeNull()
  })

  it('answers on IPv4 and IPv6 alike', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const socket = connect(test.platform.config.port, host)
      socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
      expect((await socket.toArray()).join('')).toContain('200 OK')
    }
  })

  it('describes itself in OpenAPI 3.1', async () => {
    const { body } = await test.request('GET', '/api/openapi.json')
    expect(body.openapi).toBe('3.1.0')
    expect(body.components.securitySchemes).toHaveProperty('bearer')
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(['/api/auth/signup', '/api/auth/me']))
    expect(Object.keys(body.paths).every((path) => path.startsWith('/api/'))).toBe(true)
    expect(body.paths['/api/auth/login'].post.security).toEqual([])
    expect(body.paths['/api/auth/me'].get.security).toBeUndefined()
    // Every reference can be resolved.
    for (const [, name] of JSON.stringify(body).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      expect(body.components.schemas).toHaveProperty(name!)
    }
    for (const operations of Object.values<Record<string, { responses: object }>>(body.paths)) {
      for (const operation of Object.values(operations)) expect(operation.responses).toHaveProperty('default')
    }
  })
})
