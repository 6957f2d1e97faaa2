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
  it('signs up, logs in by name or e-mail, returns the user, and logs out', async () => {
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
      session_id: expect.stringMatching(/^[\w-]{43}$/),
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

  it('makes exactly one of many concurrent first sign-ups admin', async () => {
    await using fresh = await startTestPlatform()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => signup(fresh, account(`racer${index}`))),
    )
    expect(answers.every(({ status }) => status === 201)).toBe(true)
    expect(answers.filter(({ body }) => body.user.role === 'admin')).toHaveLength(1)
  })

  it('allows only the first account if sign-up is closed, and says whether it is missing', async () => {
    await using closed = await startTestPlatform({ FP_SIGNUP: 'closed' })
    const needsSetup = async (): Promise<unknown> => (await closed.request('GET', '/api/auth/setup')).body
    expect(await needsSetup()).toEqual({ needs_setup: true })
    expect((await signup(closed, account('boss'))).body.user.role).toBe('admin')
    expect(await needsSetup()).toEqual({ needs_setup: false })
    expect((await signup(closed, account('other'))).body.code).toBe('FP_FORBIDDEN')
  })
})

describe('limits', () => {
  let proxied: TestPlatform
  beforeAll(async () => {
    proxied = await startTestPlatform({ FP_TRUST_PROXY: '127.0.0.1,::1' })
  })
  afterAll(() => proxied[Symbol.asyncDispose]())

  const from = (address: string, path: 'login' | 'signup', body: object): Promise<Answer> =>
    proxied.request('POST', `/api/auth/${path}`, { body, headers: { 'x-forwarded-for': address } })
  const loginFrom = (address: string, username: string, password: string): Promise<Answer> =>
    from(address, 'login', { username, password })

  it('slow down wrong passwords for one name from one address, and name the wait', async () => {
    await from('10.1.0.1', 'signup', account('slow'))
    const statuses: number[] = []
    let last: Answer
    // The waits double, so even a slow machine is too early for one of them.
    do {
      last = await loginFrom('10.1.0.2', statuses.length % 2 ? 'slow' : 'SLOW', 'wrong')
      statuses.push(last.status)
    } while (last.status === 401)
    expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401])
    expect([last.status, last.body.code]).toEqual([429, 'FP_TOO_MANY_REQUESTS'])
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0)
    // Another name from there, and the same name from elsewhere, are not slowed down.
    expect((await loginFrom('10.1.0.2', 'other', 'wrong')).status).toBe(401)
    expect((await loginFrom('10.1.0.3', 'slow', 'correct horse')).status).toBe(200)
  })

  it('slow down guesses that are made all at once', async () => {
    await from('10.2.0.1', 'signup', account('rushed'))
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => loginFrom('10.2.0.2', 'rushed', 'wrong')),
    )
    expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(12)
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(18)
  })

  it('do not let a stranger lock a user out from the user’s own address', async () => {
    await from('10.3.0.1', 'signup', account('target'))
    // One stranger, then one with many addresses.
    for (let round = 0; round < 8; round++) await loginFrom('10.3.1.0', 'target', 'wrong')
    const guesses = Array.from({ length: 40 }, (_, index) => loginFrom(`10.3.2.${index}`, 'target', 'wrong'))
    const statuses = (await Promise.all(guesses)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(20)
    expect((await loginFrom('10.3.3.1', 'target', 'correct horse')).status).toBe(429)
    for (const name of ['target', 'Target', 'target@example.com'])
      expect((await loginFrom('10.3.0.1', name, 'correct horse')).status).toBe(200)
  })

  it('are the same for names that nobody has', async () => {
    const statuses = async (name: string, address: string): Promise<number[]> => {
      const found: number[] = []
      for (let round = 0; round < 7; round++)
        found.push((await loginFrom(address, name, 'wrong')).status === 401 ? 401 : 429)
      return found.slice(0, 6)
    }
    await from('10.4.0.1', 'signup', account('somebody'))
    expect(await statuses('nobody', '10.4.0.2')).toEqual(await statuses('somebody', '10.4.0.3'))
  })

  it('reset the count of wrong passwords after the right one', async () => {
    await from('10.5.0.1', 'signup', account('forgetful'))
    for (let round = 0; round < 3; round++) {
      for (let wrong = 0; wrong < 4; wrong++)
        expect((await loginFrom('10.5.0.1', 'forgetful', 'wrong')).status).toBe(401)
      expect((await loginFrom('10.5.0.1', 'forgetful', 'correct horse')).status).toBe(200)
    }
  })

  it('stop guessing from one address, whatever the names', async () => {
    const answers: Answer[] = []
    // Not all at once, as the concurrent log-ins of an address are limited too.
    for (let first = 0; first < 65; first += 13) {
      const names = Array.from({ length: 13 }, (_, index) => `name${first + index}`)
      answers.push(...(await Promise.all(names.map((name) => loginFrom('10.6.0.1', name, 'wrong')))))
    }
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5)
  }, 120_000)

  it('limit how many taken names one address can try', async () => {
    await from('10.7.0.1', 'signup', account('occupied'))
    const codes: string[] = []
    for (let round = 0; round < 32; round++)
      codes.push((await from('10.7.0.2', 'signup', account('occupied'))).body.code)
    expect(codes.filter((code) => code === 'FP_USERNAME_TAKEN')).toHaveLength(30)
    expect(codes.at(-1)).toBe('FP_TOO_MANY_REQUESTS')
    expect((await from('10.7.0.3', 'signup', account('free'))).status).toBe(201)
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

describe('session cookies that an app on a shared parent domain adds', () => {
  let mine: { cookie: string; id: string; name: string }
  let theirs: { cookie: string; name: string }
  beforeAll(async () => {
    const [ann, eve] = [await signup(test, account('tossed')), await signup(test, account('tosser'))]
    mine = { cookie: cookieOf(ann), id: ann.body.session_id, name: 'tossed' }
    theirs = { cookie: cookieOf(eve), name: 'tosser' }
  })
  const JUNK = 'fp_session=junk; a=b; fp_session=; fp_session; xfp_session=1'

  /** The user that the API finds for a request with these cookies. */
  async function who(cookies: string[], session?: string): Promise<string | number> {
    const headers = { cookie: cookies.join('; '), ...(session !== undefined && { 'x-fp-session': session }) }
    const { status, body } = await test.request('GET', '/api/auth/me', { headers })
    return status === 200 ? body.username : status
  }

  it('neither log the user out nor in as somebody else, in any order', async () => {
    const orders = [
      [theirs.cookie, JUNK, mine.cookie],
      [mine.cookie, JUNK, theirs.cookie],
      [JUNK, mine.cookie],
      [...Array.from({ length: 300 }, (_, n) => `fp_session=fp_${String(n).padStart(43, 'x')}`), mine.cookie],
    ]
    for (const cookies of orders) expect(await who(cookies, mine.id)).toBe('tossed')
  })

  it('log nobody in who has not logged in on the console', async () => {
    expect(await who([theirs.cookie], 'none')).toBe(401)
    expect(await who([theirs.cookie], mine.id)).toBe(401)
    expect(await who([theirs.cookie], '')).toBe(401)
  })

  it('are ignored if there are two and the request does not name the session', async () => {
    expect(await who([JUNK, mine.cookie])).toBe('tossed')
    expect(await who([mine.cookie, mine.cookie])).toBe('tossed')
    expect(await who([mine.cookie, theirs.cookie])).toBe(401)
    expect(await who([theirs.cookie, mine.cookie])).toBe(401)
  })

  it('cannot be named by their own token', async () => {
    expect(await who([theirs.cookie], theirs.cookie.slice('fp_session='.length))).toBe(401)
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
    // A name that a stranger's DNS points at this machine: its Origin and Host are equal, but are not trusted.
    expect((await login('mallory', 'correct horse', { origin: 'http://rebound.example' })).body.code).toBe(
      'FP_CSRF',
    )
  })
})
