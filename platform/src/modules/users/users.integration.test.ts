import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPlatform, type Answer, type TestPlatform } from '../../../test/platform.ts'

let test: TestPlatform
beforeAll(async () => {
  test = await startTestPlatform()
})
afterAll(() => test[Symbol.asyncDispose]())

const account = (username: string, email = `${username}@example.com`): object => ({
  username,
  email,
  password: 'correct horse',
})
const signup = (platform: TestPlatform, body: object): Promise<Answer> =>
  platform.request('POST', '/api/auth/signup', { body })
const login = (username: string, password = 'correct horse', headers = {}): Promise<Answer> =>
  test.request('POST', '/api/auth/login', { body: { username, password }, headers })
const cookieOf = (answer: Answer): string => answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''

describe('accounts', () => {
  it('signs up, logs in by name or e-mail, tells who it is, and logs out', async () => {
    const created = await signup(test, account('ada', 'Ada@Example.com'))
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      user: {
        user_id: expect.stringMatching(/^u_[0-9a-z]{12}$/),
        username: 'ada',
        email: 'Ada@Example.com',
        role: 'admin',
        created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      },
      access_token: expect.stringMatching(/^fp_[\w-]{43}$/),
      token_type: 'bearer',
    })
    for (const name of ['ada', 'ADA', 'ada@example.COM']) {
      const session = await login(name)
      expect(session.status).toBe(200)
      const token: string = session.body.access_token
      expect((await test.request('GET', '/api/auth/me', { token })).body).toEqual(created.body.user)
      expect((await test.request('POST', '/api/auth/logout', { token })).status).toBe(204)
      expect((await test.request('GET', '/api/auth/me', { token })).body.code).toBe('FP_UNAUTHENTICATED')
    }
    const first: string = created.body.access_token
    expect((await test.request('GET', '/api/auth/me', { token: first })).status).toBe(200)
  })

  it('refuses a name or an e-mail address that is taken, without case', async () => {
    await signup(test, account('grace'))
    expect((await signup(test, account('grace', 'other@example.com'))).body.code).toBe('FP_USERNAME_TAKEN')
    const answer = await signup(test, account('hopper', 'GRACE@example.com'))
    expect([answer.status, answer.body.code]).toEqual([409, 'FP_EMAIL_TAKEN'])
  })

  it('answers an unknown name and a wrong password alike', async () => {
    await signup(test, account('linus'))
    const answers = [
      await login('linus', 'wrong'),
      await login('nobody', 'wrong'),
      await login('no@example.com', 'wrong'),
    ]
    const shapes = answers.map(({ status, body }) => ({ status, ...body, request_id: '' }))
    expect(shapes[0]).toMatchObject({ status: 401, code: 'FP_BAD_CREDENTIALS' })
    expect(shapes[1]).toEqual(shapes[0])
    expect(shapes[2]).toEqual(shapes[0])
    expect(answers.every(({ headers }) => headers.getSetCookie().length === 0)).toBe(true)
  })

  it('names each field that is wrong', async () => {
    const { status, body } = await signup(test, { username: 'A', email: 'nope', password: 7, extra: 1 })
    expect(status).toBe(422)
    expect(body.code).toBe('FP_INVALID_FIELDS')
    expect(body.details.map(({ field }: { field: string }) => field).sort()).toEqual([
      'email',
      'extra',
      'password',
      'username',
    ])
    const missing = await signup(test, {})
    expect(missing.body.details).toContainEqual({ field: 'password', message: 'is missing' })
    const long = await signup(test, { ...account('x'.repeat(33)), password: 'p'.repeat(257) })
    expect(long.body.details.map(({ field }: { field: string }) => field).sort()).toEqual([
      'password',
      'username',
    ])
    for (const body of [[], 'text', null, 7]) {
      expect((await test.request('POST', '/api/auth/login', { body: JSON.stringify(body) })).status).toBe(422)
    }
    // Objects where text is expected must not become queries.
    expect((await login({ $ne: '' } as never)).status).toBe(422)
  })

  it('makes exactly one of many racing first sign-ups admin', async () => {
    await using fresh = await startTestPlatform()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => signup(fresh, account(`racer${index}`))),
    )
    expect(answers.every(({ status }) => status === 201)).toBe(true)
    expect(answers.filter(({ body }) => body.user.role === 'admin')).toHaveLength(1)
  })

  it('lets only the first account be made where sign-up is closed', async () => {
    await using closed = await startTestPlatform({ FP_SIGNUP: 'closed' })
    expect((await signup(closed, account('boss'))).body.user.role).toBe('admin')
    expect((await signup(closed, account('other'))).body.code).toBe('FP_FORBIDDEN')
  })
})

describe('limits', () => {
  it('stops guessing at one name, from wherever, and says when to try again', async () => {
    await using proxied = await startTestPlatform({ FP_TRUST_PROXY: '127.0.0.1,::1' })
    await signup(proxied, account('victim'))
    const guess = (index: number, password: string): Promise<Answer> =>
      proxied.request('POST', '/api/auth/login', {
        body: { username: index % 2 ? 'victim' : 'VICTIM', password },
        headers: { 'x-forwarded-for': `10.0.0.${index}` },
      })
    const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => guess(index, 'wrong')))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(20)
    const limited = answers.find(({ status }) => status === 429)
    expect(limited?.body.code).toBe('FP_TOO_MANY_REQUESTS')
    expect(Number(limited?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await guess(99, 'correct horse')).status).toBe(429)
  })

  it('stops guessing from one address, whatever the names, but not log-ins that succeed', async () => {
    await using fresh = await startTestPlatform()
    await signup(fresh, account('honest'))
    const attempt = (username: string, password: string): Promise<Answer> =>
      fresh.request('POST', '/api/auth/login', { body: { username, password } })
    for (let round = 0; round < 25; round++)
      expect((await attempt('honest', 'correct horse')).status).toBe(200)
    const answers = await Promise.all(
      Array.from({ length: 65 }, (_, index) => attempt(`name${index}`, 'wrong')),
    )
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5)
  }, 120_000)

  it('limits new accounts of one address', async () => {
    await using fresh = await startTestPlatform({ FP_SIGNUPS_PER_HOUR: '2' })
    const answers = [
      await signup(fresh, account('one')),
      await signup(fresh, account('two')),
      await signup(fresh, account('three')),
    ]
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 429])
  })
})

describe('sessions and cookies', () => {
  it('sets a cookie that scripts cannot read and apps never get', async () => {
    await signup(test, account('cookie1'))
    const [cookie] = (await login('cookie1')).headers.getSetCookie()
    expect(cookie).toMatch(/^fp_session=fp_[\w-]{43}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/)
  })

  it('uses a __Host- cookie behind TLS', async () => {
    await using tls = await startTestPlatform({ PUBLIC_URL: 'https://fp.example.com', FP_PORT: '0' })
    const answer = await fetch(`http://localhost:${tls.platform.config.port}/api/auth/signup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(account('secure')),
    })
    expect(answer.headers.getSetCookie()[0]).toMatch(
      /^__Host-fp_session=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    expect(answer.headers.get('strict-transport-security')).toContain('max-age')
  })

  it('clears the cookie at log-out', async () => {
    const cookie = cookieOf(await signup(test, account('cookie2')))
    const headers = { cookie, origin: test.url }
    const answer = await test.request('POST', '/api/auth/logout', { headers })
    expect(answer.headers.getSetCookie()[0]).toMatch(/^fp_session=; .*(Max-Age=0|Expires=Thu, 01 Jan 1970)/)
    expect((await test.request('GET', '/api/auth/me', { headers })).status).toBe(401)
  })

  it.each([
    ['nothing', {}],
    ['an unknown token', { authorization: `Bearer fp_${'x'.repeat(43)}` }],
    ['nonsense', { authorization: 'Bearer' }],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['an unknown cookie', { cookie: 'fp_session=abc' }],
  ])('refuses %s', async (_what, headers) => {
    const answer = await test.request('GET', '/api/auth/me', { headers })
    expect([answer.status, answer.body.code]).toEqual([401, 'FP_UNAUTHENTICATED'])
    expect(answer.headers.get('www-authenticate')).toContain('Bearer')
  })
})

describe('requests of other pages', () => {
  const own = (): string => test.url
  const app = (): string => test.url.replace('localhost', 'app-abc.localhost')
  it.each([
    ['the console itself', () => ({ origin: own() }), 204],
    [
      'the console at the address of the machine',
      () => ({ origin: own(), 'sec-fetch-site': 'same-origin' }),
      204,
    ],
    ['a browser that sends no Origin but says same-origin', () => ({ 'sec-fetch-site': 'same-origin' }), 204],
    ['an app on a subdomain', () => ({ origin: app(), 'sec-fetch-site': 'same-site' }), 403],
    ['a foreign page', () => ({ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), 403],
    ['a sandboxed frame', () => ({ origin: 'null' }), 403],
    ['a browser that says cross-site', () => ({ 'sec-fetch-site': 'cross-site' }), 403],
    ['no word of where from', () => ({}), 403],
    ['another port of this machine', () => ({ origin: 'http://localhost:1' }), 403],
    ['the same name and port with another scheme', () => ({ origin: own().replace('http:', 'https:') }), 403],
  ])('the cookie on a write from %s', async (_what, headers, expected) => {
    const name = `csrf${Math.random().toString(36).slice(2, 10)}`
    const cookie = cookieOf(await signup(test, account(name)))
    const answer = await test.request('POST', '/api/auth/logout', {
      headers: { cookie, ...(headers() as object) },
    })
    expect(answer.status).toBe(expected)
    if (expected === 403) expect(answer.body.code).toBe('FP_CSRF')
    const after = await test.request('GET', '/api/auth/me', { headers: { cookie } })
    expect(after.status).toBe(expected === 204 ? 401 : 200)
  })

  it('lets bearer tokens write from anywhere', async () => {
    const { token } = await test.user()
    const headers = { origin: 'https://evil.example' }
    expect((await test.request('POST', '/api/auth/logout', { token, headers })).status).toBe(204)
  })

  it('refuses to log a browser in for a foreign page', async () => {
    await signup(test, account('mallory'))
    expect((await login('mallory', 'correct horse', { origin: 'https://evil.example' })).body.code).toBe(
      'FP_CSRF',
    )
    expect((await login('mallory', 'correct horse', { 'sec-fetch-site': 'same-site' })).body.code).toBe(
      'FP_CSRF',
    )
    expect((await login('mallory', 'correct horse', { origin: own() })).status).toBe(200)
    // A name whose DNS entry a stranger points at this machine: its own Origin and Host agree, and count for nothing.
    expect((await login('mallory', 'correct horse', { origin: 'http://rebound.example' })).body.code).toBe(
      'FP_CSRF',
    )
  })
})
