import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { routableUrl, type ResolveTarget } from '../../src/http/index.ts'
import { all, header, status } from './message.ts'
import { remembering } from './world.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

test.each(['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', ''])(
  'the answer to HEAD keeps its headers and has no body (%j)',
  async (length) => {
    await using world = await remembering(`HTTP/1.1 200 OK\r\nX-A: 1\r\n${length}\r\n`)
    const client = await world.client()
    for (let i = 0; i < 2; i++) {
      const answer = await client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n').message({ noBody: true })
      expect([status(answer), header(answer, 'x-a')]).toEqual([200, '1'])
      if (length.startsWith('Content')) expect(header(answer, 'content-length')).toBe('5')
    }
    expect(client.pending).toBe('')
    expect(world.seen.map(({ start }) => start)).toEqual(['HEAD / HTTP/1.1', 'HEAD / HTTP/1.1'])
  },
)

test.each([
  ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
  // WebDAV, caches, discovery: an app may speak what it likes.
  ...['PROPFIND', 'REPORT', 'MKCOL', 'LOCK', 'PURGE', 'M-SEARCH', 'SUBSCRIBE', 'LINK'],
])('%s reaches the app as it is', async (method) => {
  await using world = await remembering(OK)
  const client = await world.client()
  const answer = await client.send(`${method} /a//b/./c%2f?x=%20&y HTTP/1.1\r\nHost: a\r\n\r\n`).message()
  expect([status(answer), answer.body]).toEqual([200, 'ok'])
  expect(world.seen[0]!.start).toBe(`${method} /a//b/./c%2f?x=%20&y HTTP/1.1`)
})

// Which of them mean the same is for the app to say.
test.each([
  '/../etc/passwd',
  '/a/../b',
  '/%2e%2e/x',
  '/..%2fx',
  '/a\\..\\b',
  '/%00',
  '/?a=/../b',
  '//',
  '//a//',
  '/;a=b',
  '/|"<>^`{}',
  '/?',
  '/??&&==',
])('the path %s goes through as it is', async (path) => {
  await using world = await remembering(OK)
  const client = await world.client()
  const answer = await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).message()
  expect([status(answer), world.seen[0]?.start]).toEqual([200, `GET ${path} HTTP/1.1`])
})

test.each(['/%', '/%zz', '/%c3', '/%ff?%'])(
  'the path %s, which cannot be decoded, is refused by the router',
  async (path) => {
    await using world = await remembering(OK)
    const client = await world.client()
    expect(status(await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).message())).toBe(400)
    expect(world.seen).toEqual([])
  },
)

test.each(['/%', '/%zz', '/%c3?%', '/a%2fb%'])(
  'the path %s goes through where the router need not read it',
  async (path) => {
    await using world = await remembering(OK, { server: { rewriteUrl: routableUrl } })
    const client = await world.client()
    expect(status(await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).message())).toBe(200)
    expect(world.seen[0]?.start).toBe(`GET ${path} HTTP/1.1`)
  },
)

test('QUERY, which asks by its body, reaches the app with it', async () => {
  await using world = await remembering(OK)
  const client = await world.client()
  client.send(
    'QUERY / HTTP/1.1\r\nHost: a\r\nContent-Type: application/sql\r\nContent-Length: 8\r\n\r\nselect 1',
  )
  expect(status(await client.message())).toBe(200)
  expect([world.seen[0]!.start, world.seen[0]!.body]).toEqual(['QUERY / HTTP/1.1', 'select 1'])
})

test('TRACE reaches the app where the embedder allows it', async () => {
  await using world = await remembering(OK, { proxy: { httpMethods: ['TRACE'] } })
  const client = await world.client()
  expect(status(await client.send('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(200)
  expect(world.seen[0]?.start).toBe('TRACE / HTTP/1.1')
})

test('TRACE, which shows a client what proxies add, is refused unless the embedder allows it', async () => {
  await using world = await remembering(OK)
  const client = await world.client()
  const answer = await client.send('TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n').message()
  expect(status(answer)).toBe(404)
  expect(answer.body).not.toContain('secret')
  expect(world.seen).toEqual([])
})

test('CONNECT is refused, the connection is closed, and what follows goes nowhere', async () => {
  let reached = 0
  const elsewhere = createServer(() => reached++).listen(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  const { port } = elsewhere.address() as { port: number }
  await using world = await remembering(OK)
  for (const target of [`127.0.0.1:${port}`, 'a:80', '/']) {
    const client = await world.client()
    client.send(
      `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nGET /inside HTTP/1.1\r\nHost: a\r\n\r\n`,
    )
    const answer = await client.rest()
    expect(answer).toMatch(/^HTTP\/1\.1 (400|405|501) /)
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  }
  elsewhere.close()
  await once(elsewhere, 'close')
  expect([reached, world.seen]).toEqual([0, []])
})

test.each(['http://', 'https://', 'ftp://', '//'])(
  'a target of the form %sother never makes the proxy call another host',
  async (scheme) => {
    let reached = 0
    const elsewhere = createServer(() => reached++).listen(0, '127.0.0.1')
    await once(elsewhere, 'listening')
    const { port } = elsewhere.address() as { port: number }
    await using world = await remembering(OK)
    const client = await world.client()
    await client.send(`GET ${scheme}127.0.0.1:${port}/x HTTP/1.1\r\nHost: a\r\n\r\n`).message()
    elsewhere.close()
    await once(elsewhere, 'close')
    expect(reached).toBe(0)
    // It is the app's own request or none.
    const host = scheme.startsWith('http') ? `127.0.0.1:${port}` : 'a'
    for (const { start, headers } of world.seen) {
      expect(start).toMatch(/^GET \//)
      expect(all(headers, 'host')).toEqual([host])
    }
  },
)

test('the host of an absolute target counts before the Host header, for the routing and for the app', async () => {
  const asked: (string | undefined)[] = []
  const resolve: ResolveTarget = ({ headers }) => {
    asked.push(headers.host)
    return 'app'
  }
  await using world = await remembering(OK, { proxy: { resolve } })
  const client = await world.client()
  for (const [target, version] of [
    ['http://b.example:81/x//y?z', '1.1'],
    ['HTTPS://b.example', '1.1'],
    ['http://[::1]?z', '1.1'],
  ])
    await client.send(`GET ${target} HTTP/${version}\r\nHost: a\r\n\r\n`).message()
  expect(asked).toEqual(['b.example:81', 'b.example', '[::1]'])
  expect(world.seen.map(({ start, headers }) => [start, all(headers, 'host')])).toEqual([
    ['GET /x//y?z HTTP/1.1', ['b.example:81']],
    ['GET / HTTP/1.1', ['b.example']],
    ['GET /?z HTTP/1.1', ['[::1]']],
  ])
})

test.each(['ftp://b/', 'http:///x', 'http://u:p@b/', 'http://b c/', 'http://b:x/', 'other', 'http:x'])(
  'the target %s is refused',
  async (target) => {
    await using world = await remembering(OK)
    const client = await world.client()
    expect(status(await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).message())).toBe(400)
    expect(world.seen).toEqual([])
  },
)
