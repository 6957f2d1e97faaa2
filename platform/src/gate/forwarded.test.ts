import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { startFront, type FrontOptions, type FrontWithApi } from '../../test/front.ts'

interface Seen {
  readonly line: string
  readonly headers: string[]
  readonly body: string
}

interface World extends FrontWithApi {
  /** The requests that the API has received, in order. */
  readonly seen: Seen[]
  /** The headers of one request as the API gets them, without the connection's own. */
  passed(head: string, rest?: string): Promise<string[]>
}

async function start(options: FrontOptions = {}): Promise<World> {
  const seen: Seen[] = []
  const front = await startFront((req, res) => {
    void text(req).then((body) => {
      const headers: string[] = []
      for (let at = 0; at < req.rawHeaders.length; at += 2)
        headers.push(`${req.rawHeaders[at]!.toLowerCase()}: ${req.rawHeaders[at + 1]}`)
      seen.push({ line: `${req.method} ${req.url}`, headers, body })
      res.end('ok')
    })
  }, options)
  return {
    ...front,
    seen,
    async passed(head, rest = '') {
      const answer = await front.raw(`${head}\r\nConnection: close\r\n\r\n${rest}`)
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      return seen.at(-1)!.headers.filter((line) => line !== 'connection: keep-alive')
    },
  }
}

const SPOOFED = [
  'GET / HTTP/1.1',
  'Host: fp.example',
  'X-Forwarded-For: 6.6.6.6',
  'x-forwarded-for: 7.7.7.7',
  'X-Forwarded-Host: evil.example',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Anything: 1',
  'Forwarded: for=6.6.6.6',
  'X-Real-IP: 6.6.6.6',
  'X-Request-ID: req_of_another',
  'Via: 1.1 somebody',
  'FP-Peer: 127.0.0.1',
  'fp-user: u_admin',
].join('\r\n')

test('forwarding headers of an untrusted client are removed, and the request is marked as forwarded', async () => {
  const { passed } = await start()
  expect(await passed(SPOOFED)).toEqual([
    'host: fp.example',
    'via: 1.1 somebody',
    'content-length: 0',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-proto: http',
    'fp-peer: 127.0.0.1 forwarded',
  ])
})

test('headers of a trusted proxy are kept, with its address last; nobody can set user or peer', async () => {
  const { passed } = await start({ proxies: ['127.0.0.0/8'] })
  expect(await passed(SPOOFED)).toEqual([
    'host: fp.example',
    'x-forwarded-host: evil.example',
    'x-forwarded-proto: https',
    'x-forwarded-anything: 1',
    'forwarded: for=6.6.6.6',
    'x-real-ip: 6.6.6.6',
    'x-request-id: req_of_another',
    'via: 1.1 somebody',
    'content-length: 0',
    'x-forwarded-for: 6.6.6.6, 7.7.7.7, 127.0.0.1',
    'fp-peer: 127.0.0.1 forwarded',
  ])
})

test('a plain request comes from its peer; headers keep their order and their spelling', async () => {
  const { passed } = await start()
  const head = 'GET /a?b=%20c HTTP/1.1\r\nHost: fp\r\nX-B: 1\r\nCookie: a=1\r\nx-b: 2\r\nX-Latin: caf\xe9'
  expect(await passed(head)).toEqual([
    'host: fp',
    'x-b: 1',
    'cookie: a=1',
    'x-b: 2',
    'x-latin: caf\xe9',
    'content-length: 0',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-proto: http',
    'fp-peer: 127.0.0.1',
  ])
})

test('headers of the client’s connection are dropped, and those that `connection` names', async () => {
  const { passed } = await start()
  const headers = await passed(
    [
      'POST / HTTP/1.1',
      'Host: fp',
      'Connection: X-Secret , te',
      'X-Secret: 1',
      'TE: trailers',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
      'Trailer: x-sum',
      'Content-Length: 0',
      'X-Kept: 1',
    ].join('\r\n'),
  )
  expect(headers).toEqual([
    'host: fp',
    'content-length: 0',
    'x-kept: 1',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-proto: http',
    'fp-peer: 127.0.0.1',
  ])
})

test.each([
  ['transfer-encoding', 'Transfer-Encoding: chunked', (body: string) => chunked(body)],
  ['content-length', 'Content-Length: LENGTH', (body: string) => body],
])('nobody smuggles a request in a body whose %s `connection` names', async (name, line, encode) => {
  const { seen, raw } = await start()
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: fp\r\nfp-peer: 127.0.0.1\r\n\r\n'
  const head = `DELETE /outer HTTP/1.1\r\nHost: fp\r\nConnection: ${name}\r\n${line.replace('LENGTH', String(inner.length))}`
  const after = 'GET /after HTTP/1.1\r\nHost: fp\r\nConnection: close\r\n\r\n'
  await raw(`${head}\r\n\r\n${encode(inner)}${after}`)
  expect(seen.map((request) => [request.line, request.body])).toEqual([
    ['DELETE /outer', inner],
    ['GET /after', ''],
  ])
})

test('a request without a body has none at the API, whatever its method', async () => {
  const { seen, raw } = await start()
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
    await raw(`${method} / HTTP/1.1\r\nHost: fp\r\nConnection: close\r\n\r\n`)
  for (const { headers, body } of seen) {
    expect(headers).toContain('content-length: 0')
    expect(body).toBe('')
  }
  expect(seen).toHaveLength(6)
})

test('no byte in a request’s head, and no trailer, breaks the front door', async () => {
  const { passed, raw } = await start()
  const trailers =
    'POST / HTTP/1.1\r\nHost: fp\r\nTrailer: x-a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
  expect(await raw(`${trailers}2\r\nhi\r\n0\r\nx-a: b\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await passed('GET / HTTP/1.1\r\nHost: fp\r\nTrailer: x-a')).toContain('host: fp')
  for (let code = 0; code < 256; code++) {
    const byte = String.fromCharCode(code)
    const answers = await Promise.all(
      [
        `GET /a${byte}b HTTP/1.1\r\nHost: fp`,
        `GET / HTTP/1.1\r\nHost: fp\r\nx-a${byte}b: 1`,
        `GET / HTTP/1.1\r\nHost: fp\r\nx-a: a${byte}b`,
      ].map((head) => raw(`${head}\r\nConnection: close\r\n\r\n`)),
    )
    for (const answer of answers)
      expect([code, answer.slice(0, 12)]).toEqual([code, expect.stringMatching(/^HTTP\/1\.1 (200|400)$/)])
  }
})

function chunked(body: string): string {
  return `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
}
