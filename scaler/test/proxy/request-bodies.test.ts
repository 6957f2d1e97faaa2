import { describe, expect, test } from 'vitest'
import { all, header, status } from './message.ts'
import { BYTES, oddChunks } from './odd-chunks.ts'
import { rawWorld, remembering, until } from './world.ts'

const POST = 'POST /up HTTP/1.1\r\nHost: a\r\n'
const GET = 'GET /down HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('the body of a request', () => {
  test('of known length keeps its Content-Length', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    await client.send(`${POST}Content-Length: ${BYTES.length}\r\n\r\n${BYTES}`).message()
    expect(world.seen[0]).toMatchObject({ framing: 'length', body: BYTES })
  })

  test('in chunks of any size, with extensions, arrives byte for byte', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    await client.send(`${POST}Transfer-Encoding: chunked\r\n\r\n${oddChunks()}0\r\n\r\n`).message()
    expect(world.seen[0]!.body).toBe(BYTES)
  })

  test('arrives the same when each byte comes by itself', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    for (const byte of `${POST}Transfer-Encoding: CHUNKED\r\n\r\n3;x\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n`)
      await client.flush(byte)
    await client.message()
    expect(world.seen[0]!.body).toBe('abc0123456789')
  })

  test.each(['Content-Length: 0\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'])(
    'may be empty (%j)',
    async (rest) => {
      await using world = await remembering(OK)
      const client = await world.client()
      expect(status(await client.send(POST + rest).message())).toBe(200)
      expect(status(await client.send(GET).message())).toBe(200)
      expect(world.seen.map(({ body }) => body)).toEqual(['', ''])
    },
  )

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'GET'])('of %s arrives', async (method) => {
    await using world = await remembering(OK)
    const client = await world.client()
    const answer = await client
      .send(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`)
      .message()
    expect([status(answer), world.seen[0]?.body]).toEqual([200, 'hello'])
    expect(status(await client.send(GET).message())).toBe(200)
  })

  test.each(['application/json', 'multipart/form-data; boundary=x', 'text/plain', 'nonsense', ''])(
    'of type %j is not looked into',
    async (type) => {
      await using world = await remembering(OK)
      const client = await world.client()
      const answer = await client
        .send(`${POST}Content-Type: ${type}\r\nContent-Length: 8\r\n\r\n{not \xffit`)
        .message()
      expect([status(answer), world.seen[0]?.body]).toEqual([200, '{not \xffit'])
    },
  )

  test('without a Content-Type arrives', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    await client.send(`${POST}Content-Length: 5\r\n\r\nhello`).message()
    expect([world.seen[0]!.body, header(world.seen[0]!, 'content-type')]).toEqual(['hello', undefined])
  })

  // RFC 9110 §6.5.1: trailers may be dropped, and must not be merged into the headers.
  test('loses its trailers, which never become headers', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    await client
      .send(
        `${POST}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n`,
      )
      .message()
    const [request] = world.seen
    expect([request!.body, request!.trailers]).toEqual(['hello', []])
    expect([all(request!.headers, 'host'), header(request!, 'x-sum')]).toEqual([['a'], undefined])
    expect(status(await client.send(GET).message())).toBe(200)
  })

  test.each([
    ['Content-Length: 10\r\n\r\nhello', 'length'],
    ['Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'chunks'],
    ['Transfer-Encoding: chunked\r\n\r\nA\r\nhello', 'chunk'],
  ])('that ends before its time never ends in order at the app (%j)', async (rest) => {
    let received = ''
    let ended = false
    await using world = await rawWorld(async (wire) => {
      await wire.until('hello')
      received = await wire.rest()
      ended = true
    })
    const client = await world.client()
    client.send(POST + rest)
    await until(() => world.connections.length === 1)
    client.socket.end()
    await until(() => ended)
    // The end of a chunked body would be a chunk of size 0.
    expect(received).not.toContain('0\r\n\r\n')
    await world.idle()
  })
})

test.each(['', 'Expect: 100-continue\r\n'])(
  'thousands of tiny chunks that come at once reach the app in a few large ones (%j)',
  async (expects) => {
    let body = ''
    let bytes = 0
    await using world = await rawWorld(async (wire) => {
      body = (await wire.message()).body
      bytes = wire.socket.bytesRead
      wire.send(OK)
    })
    const client = await world.client()
    const head = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${expects}\r\n`
    client.send(`${head}${'1\r\nx\r\n'.repeat(20_000)}0\r\n\r\n`)

    expect(status(await client.message())).toBe(200)
    expect(body).toHaveLength(20_000)
    // Each by itself, they take 120,000.
    expect(bytes).toBeLessThan(22_000)
  },
)
