import { describe, expect, test } from 'vitest'
import { all, header, type Message } from './message.ts'
import { rawWorld, remembering, type WorldOptions } from './world.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** What the app sees of a request with these header lines. */
async function request(lines: string, options: WorldOptions = {}): Promise<Message> {
  await using world = await remembering(OK, options)
  const client = await world.client()
  await client.send(`GET / HTTP/1.1\r\n${lines}\r\n`).message()
  return world.seen[0]!
}

/** What the client sees of an answer with these header lines. */
async function answer(lines: string): Promise<Message> {
  await using world = await remembering(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`)
  const client = await world.client()
  return await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
}

describe('the headers of a request', () => {
  test('meant for one connection are dropped, with those that Connection names', async () => {
    const seen = await request(
      [
        'Host: a',
        'Connection: keep-alive, X-One, x-two',
        'Connection: X-Three',
        'X-One: 1',
        'X-Two: 2',
        'X-Three: 3',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'Proxy-Authenticate: Basic',
        'TE: gzip',
        'Trailer: X-Sum',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
        'X-Kept: 4',
        '',
      ].join('\r\n'),
    )
    const names = seen.headers.map(([name]) => name.toLowerCase())
    for (const dropped of [
      'x-one',
      'x-two',
      'x-three',
      'keep-alive',
      'te',
      'trailer',
      'upgrade',
      'http2-settings',
    ])
      expect(names).not.toContain(dropped)
    expect(names.filter((name) => name.startsWith('proxy-'))).toEqual([])
    expect(header(seen, 'x-kept')).toBe('4')
  })

  test('that Connection must not name are kept all the same', async () => {
    const seen = await request(
      'Host: a\r\nConnection: close, Host, X-Forwarded-For, Authorization, Content-Length\r\nAuthorization: x\r\n',
    )
    expect([header(seen, 'host'), header(seen, 'x-forwarded-for')]).toEqual(['a', '127.0.0.1'])
  })

  test('say where it came from, whatever the client claims', async () => {
    const seen = await request(
      [
        'Host: app.example:8080',
        'Forwarded: for=6.6.6.6;host=evil;proto=https',
        'X-Forwarded-For: 6.6.6.6',
        'X-Forwarded-For: 7.7.7.7',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: evil',
        'X-Forwarded-Port: 666',
        'X-Forwarded-Prefix: /evil',
        'X-Forwarded-Server: evil',
        'X-Forwarded-Ssl: on',
        'X-Real-IP: 6.6.6.6',
        '',
      ].join('\r\n'),
    )
    const told = seen.headers
      .filter(([name]) => /^(x-)?(forwarded|real)/i.test(name))
      .map(([name, value]) => `${name.toLowerCase()}: ${value}`)
    expect(told.sort()).toEqual([
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-host: app.example:8080',
      'x-forwarded-proto: http',
    ])
    expect(header(seen, 'host')).toBe('app.example:8080')
  })

  test('of a proxy that is trusted are believed and added to', async () => {
    const seen = await request(
      [
        'Host: inner',
        'Forwarded: for=1.1.1.1',
        'X-Forwarded-For: 1.1.1.1, 2.2.2.2',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: outer.example',
        'X-Forwarded-Port: 443',
        'X-Forwarded-Prefix: /base',
        'X-Real-IP: 1.1.1.1',
        '',
      ].join('\r\n'),
      { proxy: { trustProxy: (address) => address === '127.0.0.1' } },
    )
    expect(all(seen.headers, 'x-forwarded-for')).toEqual(['1.1.1.1, 2.2.2.2, 127.0.0.1'])
    expect(header(seen, 'x-forwarded-proto')).toBe('https')
    expect(header(seen, 'x-forwarded-host')).toBe('outer.example')
    expect(header(seen, 'x-forwarded-port')).toBe('443')
    expect(header(seen, 'x-forwarded-prefix')).toBe('/base')
    expect(header(seen, 'x-real-ip')).toBe('1.1.1.1')
    expect(header(seen, 'forwarded')).toBe('for=1.1.1.1')
  })

  test('with bytes above 127 arrive byte for byte', async () => {
    const seen = await request('Host: a\r\nX-Latin: caf\xe9 \xff\x80\r\nX-Utf8: \xc3\xa9\r\nX-Tab: a\tb\r\n')
    expect([header(seen, 'x-latin'), header(seen, 'x-utf8'), header(seen, 'x-tab')]).toEqual([
      'caf\xe9 \xff\x80',
      '\xc3\xa9',
      'a\tb',
    ])
  })

  test('that are repeated or empty arrive as often and in the order in which they were sent', async () => {
    const lines = [
      ...['X-Many: 1', 'Accept: x', 'X-Many: 2', 'X-Empty: ', 'Cookie: a=1', 'x-many: 3', 'Accept: y'],
      // Node keeps one of these, and joins the cookies.
      ...['Cookie: b=2', 'User-Agent: a', 'Authorization: a', 'User-Agent: b', 'Authorization: b'],
    ]
    const seen = await request(`${lines.join('\r\n')}\r\nHost: a\r\n`)
    const sent = lines.map((line) => line.split(': ', 2))
    expect(seen.headers.filter(([name]) => sent.some(([given]) => given === name))).toEqual(sent)
  })

  test('are told to a server that knows of it under a prefix, with the client’s address', async () => {
    const seen = await request(
      'X-A: 1\r\nConnection: close, X-B\r\nX-B: 2\r\nHost: app.example\r\nTE: trailers\r\nfp: 6.6.6.6\r\nFP-Host: evil\r\n',
      { proxy: { clientPrefix: 'fp' } },
    )
    const own = seen.headers.filter(([name]) => /^(fp|x-[ab]$|te)/i.test(name))
    const line = own.find(([name]) => name === 'fp')!
    expect(line[1]).toMatch(/^127\.0\.0\.1 \d+ http app\.example 80 1\.1$/)
    expect(own.filter((each) => each !== line)).toEqual([
      ['X-A', '1'],
      ['fp-connection', 'close, X-B'],
      ['X-B', '2'],
      ['fp-host', 'app.example'],
      ['TE', 'trailers'],
      ['fp-fp', '6.6.6.6'],
      ['fp-fp-host', 'evil'],
    ])
  })

  test('with odd but allowed names arrive', async () => {
    const seen = await request(
      "Host: a\r\nX_Under: 1\r\n!#$%&'*+-.^_`|~9: 2\r\n__proto__: 3\r\nconstructor: 4\r\n",
    )
    expect(header(seen, 'x_under')).toBe('1')
    expect(header(seen, "!#$%&'*+-.^_`|~9")).toBe('2')
    expect(header(seen, 'constructor')).toBe('4')
  })
})

describe('the headers of an answer', () => {
  test('meant for one connection are dropped, with those that Connection names', async () => {
    const seen = await answer(
      [
        'Connection: X-One, keep-alive',
        'Connection: X-Two',
        'X-One: 1',
        'X-Two: 2',
        'Keep-Alive: timeout=12345',
        'Proxy-Connection: keep-alive',
        'Proxy-Authenticate: Basic',
        'Upgrade: h2c',
        'X-Kept: 3',
        '',
      ].join('\r\n'),
    )
    const names = seen.headers.map(([name]) => name.toLowerCase())
    for (const dropped of ['x-one', 'x-two', 'proxy-connection', 'proxy-authenticate', 'upgrade'])
      expect(names).not.toContain(dropped)
    expect(header(seen, 'keep-alive') ?? '').not.toContain('12345')
    expect(header(seen, 'x-kept')).toBe('3')
  })

  test('Date, Server and all that are the app’s own pass', async () => {
    const date = 'Tue, 01 Jan 2030 00:00:00 GMT'
    const seen = await answer(
      `Date: ${date}\r\nServer: uvicorn\r\nX-Request-Id: mine\r\nLocation: http://a/../b\r\nCache-Control: no-store\r\n`,
    )
    expect(all(seen.headers, 'date')).toEqual([date])
    expect(header(seen, 'server')).toBe('uvicorn')
    expect(header(seen, 'x-request-id')).toBe('mine')
    expect(header(seen, 'location')).toBe('http://a/../b')
    expect(header(seen, 'cache-control')).toBe('no-store')
  })

  test('that are repeated arrive as often and in the order in which they were sent', async () => {
    const lines = [
      'Set-Cookie: a=1; Expires=Wed, 09 Jun 2032 10:18:14 GMT',
      'Vary: A',
      'set-cookie: b=2',
      'WWW-Authenticate: Basic',
      'Vary: B',
      'WWW-Authenticate: Bearer',
      'X-Empty: ',
    ]
    const seen = await answer(`${lines.join('\r\n')}\r\n`)
    expect(seen.headers.slice(0, lines.length)).toEqual(lines.map((line) => line.split(': ', 2)))
  })

  test('with bytes above 127 arrive byte for byte also where the body comes later', async () => {
    const seen = Promise.withResolvers<void>()
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nX-Latin: \xfc\r\nContent-Length: 2\r\n\r\n')
      await seen.promise
      wire.send('ok')
    })
    const client = await world.client()
    const head = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').until('\r\n\r\n')
    expect(head).toContain('\r\nX-Latin: \xfc\r\n')
    seen.resolve()
    expect((await client.take(2)).toString()).toBe('ok')
  })

  test.each(['Content-Length: 2\r\n', ''])(
    'with bytes above 127 in a Content-Disposition arrive, wherever the length stands (%j)',
    async (before) => {
      const bytes = `HTTP/1.1 200 OK\r\n${before}Content-Disposition: attachment; filename="\xfc.txt"\r\n${before ? '' : 'Content-Length: 2\r\n'}\r\nok`
      await using world = await remembering(bytes)
      const client = await world.client()
      const seen = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
      expect([header(seen, 'content-disposition'), seen.body]).toEqual([
        'attachment; filename="\xfc.txt"',
        'ok',
      ])
    },
  )

  test.each(['I am a teapot', '', 'Caf\xc3\xa9'])('keep their reason: %j', async (reason) => {
    await using world = await remembering(`HTTP/1.1 418 ${reason}\r\nContent-Length: 2\r\n\r\nok`)
    const client = await world.client()
    const seen = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
    expect(seen.start).toBe(`HTTP/1.1 418 ${reason}`)
  })

  test('with bytes above 127 arrive byte for byte', async () => {
    const seen = await answer(
      'X-Latin: caf\xe9 \xff\x80\r\nX-Utf8: \xc3\xa9\r\nContent-Disposition: attachment; filename="\xe9\xa4\x85.txt"\r\n',
    )
    expect([header(seen, 'x-latin'), header(seen, 'x-utf8'), header(seen, 'content-disposition')]).toEqual([
      'caf\xe9 \xff\x80',
      '\xc3\xa9',
      'attachment; filename="\xe9\xa4\x85.txt"',
    ])
  })

  test.each([200, 201, 207, 226, 299, 300, 400, 418, 451, 499, 500, 599])(
    'with status %i pass',
    async (code) => {
      await using world = await remembering(`HTTP/1.1 ${code} Its Reason\r\nContent-Length: 2\r\n\r\nok`)
      const client = await world.client()
      const seen = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
      expect([seen.start.split(' ')[1], seen.body]).toEqual([String(code), 'ok'])
    },
  )
})
