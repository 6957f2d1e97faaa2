import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { header, readMessage, status } from '../../scaler/test/proxy/message.ts'
import { Wire } from '../../scaler/test/proxy/wire.ts'
import { startPlatform, type PlatformUnderTest } from '../harness/platform.ts'
import { TestUser } from '../harness/user.ts'
import { ANSWERS, type AnswerCase } from './answers.ts'
import { exchange, scopeIn, withoutIntended } from './compare.ts'
import { DIFFERENCES } from './differences.ts'
import { REQUESTS } from './requests.ts'
import { startUvicorn, type Uvicorn } from './uvicorn.ts'

let platform: PlatformUnderTest
let uvicorn: Uvicorn
let user: TestUser
let appId: string
let host: string
beforeAll(async () => {
  // Started one after the other, so that each is stopped even if the next one does not start.
  uvicorn = await startUvicorn()
  platform = await startPlatform()
  const code = await readFile(join(import.meta.dirname, 'app.py'), 'utf8')
  user = await TestUser.signUp(platform, 'purist')
  const { app_id: id } = await user.liveApp({ code })
  appId = id
  host = `app-${id}.localhost:${platform.port}`
  // From here on the app is warm.
  await user.call(id, '/')
})
afterAll(async () => {
  await platform?.[Symbol.asyncDispose]()
  await uvicorn?.[Symbol.asyncDispose]()
})

/** How uvicorn and the platform handle these bytes. */
async function both(
  bytes: string,
  options: Parameters<typeof exchange>[2] = {},
): Promise<[alone: Awaited<ReturnType<typeof exchange>>, ours: Awaited<ReturnType<typeof exchange>>]> {
  return [await exchange(uvicorn.port, bytes, options), await exchange(platform.port, bytes, options)]
}

describe('an app gets exactly the same as under uvicorn alone:', () => {
  test.each(REQUESTS)('$name', async ({ bytes, ...options }) => {
    const [alone, ours] = await both(bytes(host), options)
    expect(ours.seen).toEqual(alone.seen)
    for (const [i, scope] of ours.scopes.entries()) {
      expect(scope.client).toEqual(['127.0.0.1', ours.localPort])
      expect(alone.scopes[i]!.client).toEqual(['127.0.0.1', alone.localPort])
      // uvicorn reports the address it listens on; an app of the platform is reached by its public name.
      expect(scope.server.join(':')).toBe(host)
    }
  })
})

describe('a client gets exactly the same as from uvicorn alone:', () => {
  const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex')
  const bytesOf = ({ status = 200, headers = [], chunks = ['ok'] }: AnswerCase): string => {
    const told = JSON.stringify({
      status,
      headers: headers.map(([name, value]) => [hex(name), hex(value)]),
      chunks: chunks.map(hex),
    })
    return `POST /answer HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${told.length}\r\n\r\n${told}`
  }

  test.each(ANSWERS)('$name', async (answer) => {
    const complete: AnswerCase = answer.headers ? answer : { ...answer, headers: [['content-length', '2']] }
    const [alone, ours] = await both(bytesOf(complete))
    expect(alone.seen).toHaveLength(1)
    expect(ours.seen).toEqual(alone.seen)
  })

  test('a head of more than 64 KB: a 502 with a code that says so', async () => {
    const headers: AnswerCase['headers'] = [
      ['x-large', 'x'.repeat(70_000)],
      ['content-length', '2'],
    ]
    const [, ours] = await both(bytesOf({ name: '', headers }))
    expect(ours.seen[0]!.start).toBe('HTTP/1.1 502 Bad Gateway')
    expect(JSON.parse(String(ours.seen[0]!.body))).toMatchObject({ code: 'FP_APP_HEADERS_TOO_LARGE' })
  })

  test('a 204 with a length, except for the length: RFC 9110 §8.6 forbids it', async () => {
    const [alone, ours] = await both(
      bytesOf({
        name: '',
        status: 204,
        headers: [
          ['content-length', '0'],
          ['x-a', '1'],
        ],
        chunks: [],
      }),
    )
    const headers = alone.seen[0]!.headers.filter(([name]) => name !== 'content-length')
    expect(ours.seen).toEqual([{ ...alone.seen[0]!, headers }])
  })
})

describe('the body of a request', () => {
  const head = (path: string, more = ''): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n${more}\r\n`

  test.each([
    ['', ''],
    ['Expect: 100-continue\r\n', ''],
    ['Expect: 100-Continue\r\n', 'hello'],
  ])('need not come for an answer that the head decides (%j, %j)', async (lines, body) => {
    const [alone, ours] = await both(head('/unread', lines) + body)
    expect(alone.seen[0]!.start).toBe('HTTP/1.1 401 Unauthorized')
    expect(ours.seen).toEqual(alone.seen)
  })

  test('is requested with 100 Continue once the app reads it, and then arrives unchanged', async () => {
    const seen = []
    for (const port of [uvicorn.port, platform.port]) {
      const wire = await Wire.to(port)
      wire.send(head('/post', 'Expect: 100-continue\r\nX-A: 1\r\n'))
      const asked = await readMessage(wire, {})
      expect([asked.start, asked.headers]).toEqual(['HTTP/1.1 100 Continue', []])
      seen.push(withoutIntended(await wire.send('hello').message()))
      wire.close()
    }
    expect(seen[1]).toEqual(seen[0])
  })

  test('may arrive byte by byte', async () => {
    const seen = []
    for (const port of [uvicorn.port, platform.port]) {
      const wire = await Wire.to(port)
      for (const byte of `${head('/post')}hello`) await wire.flush(byte)
      seen.push(withoutIntended(await wire.message()))
      wire.close()
    }
    expect(seen[1]).toEqual(seen[0])
  })
})

test('a request that its owner sends through the API has the owner’s address and the public host', async () => {
  const answer = await user.client.apps.proxy(appId, {
    method: 'GET',
    path: '/x',
  })
  expect(JSON.parse(answer.body)).toMatchObject({
    client: ['127.0.0.1', 0],
    server: [host.split(':')[0], platform.port],
    scheme: 'http',
    headers: expect.arrayContaining([
      ['host', host].map((text) => Buffer.from(text).toString('hex')),
    ]) as unknown,
  })
})

describe('WebSockets are as under uvicorn alone:', () => {
  const handshake = (path: string, ...lines: string[]): string =>
    [
      `GET ${path} HTTP/1.1`,
      `Host: ${host}`,
      'Connection: keep-alive, Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ...lines,
      '\r\n',
    ].join('\r\n')
  const frame = (text: string): Buffer =>
    Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])
  /** One whole unmasked frame, as its first byte and its payload. */
  const readFrame = async (wire: Wire): Promise<[number, string]> => {
    const [first = 0, short = 0] = await wire.take(2)
    const length = short === 126 ? (await wire.take(2)).readUInt16BE() : short
    return [first, (await wire.take(length)).toString('latin1')]
  }

  test.each([
    [
      'headers',
      '/ws/%2F?a=%FC',
      ['X-Many: 1', 'Cookie: a', 'X-Many: 2', 'Cookie: b', 'X-Latin: \xfc', 'Origin: http://a'],
    ],
    ['subprotocols', '/ws', ['Sec-WebSocket-Protocol: first, second', 'Sec-WebSocket-Protocol: third']],
  ])('%s, messages and close codes', async (_name, path, lines) => {
    const seen = []
    for (const port of [uvicorn.port, platform.port]) {
      const wire = await Wire.to(port)
      const accepted = await wire.send(handshake(path, ...lines)).message()
      const [kind, text] = await readFrame(wire)
      const { client, server, ...told } = scopeIn({ ...accepted, body: text })!
      expect([kind, client]).toEqual([0x81, ['127.0.0.1', wire.socket.localPort]])
      if (port === platform.port) expect(server.join(':')).toBe(host)
      const headers = told.headers.filter(
        ([name]) => !/^x-(forwarded|request)/.test(Buffer.from(name, 'hex').toString()),
      )
      const echoed = await readFrame(wire.send(frame('hello')))
      const closed = await readFrame(wire.send(frame('close')))
      const upgrade = [header(accepted, 'upgrade'), header(accepted, 'connection')?.toLowerCase()]
      seen.push({ accepted: withoutIntended(accepted), upgrade, ...told, headers, echoed, closed })
      wire.close()
    }
    expect(seen[1]).toEqual(seen[0])
  })

  test('compression is negotiated between the client and the app', async () => {
    const offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'
    const [alone, ours] = await both(handshake('/ws', offer))
    expect(alone.seen[0]!.headers.map(([name]) => name.toLowerCase())).toContain('sec-websocket-extensions')
    expect(ours.seen).toEqual(alone.seen)
  })

  test.each(['/refuse', '/refuse-with-answer'])('%s', async (path) => {
    const [alone, ours] = await both(handshake(path))
    expect(ours.seen).toEqual(alone.seen)
  })
})

describe('intended differences:', () => {
  test.each(DIFFERENCES)('$name, for $why', async ({ bytes, statuses, says }) => {
    const answers = []
    for (const port of [uvicorn.port, platform.port]) {
      const wire = await Wire.to(port)
      answers.push(await wire.send(bytes(host)).message())
      wire.close()
    }
    expect(answers.map(status)).toEqual(statuses)
    if (says) expect(answers[1]!.body).toContain(says)
  })

  test('HTTP/2 without an upgrade leaves no line in the log', async () => {
    const before = platform.output().length
    const wire = await Wire.to(platform.port)
    expect(await wire.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00').rest()).toMatch(/^HTTP\/1\.1 505 /)
    expect(platform.output().slice(before)).toBe('')
  })

  test('forwarding headers are set by the platform; those of a client are not trusted', async () => {
    const claims =
      'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n'
    const { scopes, localPort } = await exchange(
      platform.port,
      `GET / HTTP/1.1\r\nHost: ${host}\r\n${claims}\r\n`,
    )
    const names = scopes[0]!.headers.map(([name, value]) =>
      [name, value].map((part) => Buffer.from(part, 'hex').toString()),
    )
    expect(scopes[0]).toMatchObject({ client: ['127.0.0.1', localPort], scheme: 'http' })
    expect(Object.fromEntries(names.slice(1))).toEqual({
      'x-request-id': expect.stringMatching(/^req_/) as string,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': host,
    })
  })
  test('blanks after the value of a header are not part of it (RFC 9110 §5.5)', async () => {
    const [alone, ours] = await both(`GET / HTTP/1.1\r\nHost: ${host}\r\nX-A: a \t \r\n\r\n`)
    const valueOf = ({ scopes }: typeof ours): string =>
      Buffer.from(
        scopes[0]!.headers.find(([name]) => name === Buffer.from('x-a').toString('hex'))![1],
        'hex',
      ).toString()
    expect([valueOf(alone).trim(), valueOf(ours)]).toEqual(['a', 'a'])
  })

  test('trailers of a request are dropped, where uvicorn adds them to the headers late', async () => {
    const bytes = `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: 1\r\n\r\n`
    const [, ours] = await both(bytes)
    expect(ours.scopes[0]).toMatchObject({ length: 1 })
    expect(ours.scopes[0]!.headers.map(([name]) => Buffer.from(name, 'hex').toString())).not.toContain(
      'x-late',
    )
  })

  test('to HTTP/1.0 the end of an answer without a length is the end of the connection', async () => {
    const told = JSON.stringify({ status: 200, headers: [], chunks: ['6f6e65', '74776f'] })
    const bytes = `POST /answer HTTP/1.0\r\nHost: ${host}\r\nContent-Length: ${told.length}\r\n\r\n${told}`
    const [alone, ours] = await both(bytes)
    expect([alone.seen[0]!.framing, alone.seen[0]!.body]).toEqual(['chunked', 'onetwo'])
    expect([ours.seen[0]!.framing, ours.seen[0]!.body]).toEqual(['close', 'onetwo'])
  })

  test('a header name that is not a token makes the answer of an app a 502', async () => {
    const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex')
    const headers = [
      [hex('x/y'), hex('1')],
      [hex('content-length'), hex('0')],
    ]
    const told = JSON.stringify({ status: 200, headers, chunks: [] })
    const head = `POST /answer HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${told.length}\r\n\r\n`
    const { seen } = await exchange(platform.port, head + told)
    expect(seen[0]!.start).toBe('HTTP/1.1 502 Bad Gateway')
    expect(seen[0]!.body).toContain('FP_APP_CRASHED')
  })
})
