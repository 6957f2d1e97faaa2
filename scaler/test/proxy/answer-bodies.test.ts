import { describe, expect, test } from 'vitest'
import { header, status } from './message.ts'
import { BYTES, oddChunks } from './odd-chunks.ts'
import { rawWorld, type World } from './world.ts'

const POST = 'POST /up HTTP/1.1\r\nHost: a\r\n'
const GET = 'GET /down HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const PART = Buffer.alloc(64 * 1024, 'x')
const PARTS = 512

/** An app that answers every request with these bytes, and ends the connection where told. */
const answering = (bytes: string, end = false): Promise<World> =>
  rawWorld(async (wire) => {
    for (;;) {
      await wire.message()
      wire.send(bytes)
      if (end) wire.socket.end()
    }
  })

describe('the body of an answer', () => {
  test('of known length keeps its Content-Length', async () => {
    await using world = await answering(`HTTP/1.1 200 OK\r\nContent-Length: ${BYTES.length}\r\n\r\n${BYTES}`)
    const client = await world.client()
    expect(await client.send(GET).message()).toMatchObject({ framing: 'length', body: BYTES })
  })

  test('in chunks of any size, with extensions, arrives byte for byte and in chunks', async () => {
    await using world = await answering(
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${oddChunks()}0\r\n\r\n`,
    )
    const client = await world.client()
    for (let i = 0; i < 3; i++)
      expect(await client.send(GET).message()).toMatchObject({ framing: 'chunked', body: BYTES })
  })

  test('that ends with the connection arrives whole', async () => {
    await using world = await answering(`HTTP/1.1 200 OK\r\n\r\n${BYTES}`, true)
    const client = await world.client()
    for (let i = 0; i < 2; i++) expect((await client.send(GET).message()).body).toBe(BYTES)
  })

  test('is forwarded with its trailers to a client that takes them', async () => {
    await using world = await answering(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n',
    )
    const client = await world.client()
    const answer = await client
      .send('GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n')
      .message()
    expect([answer.body, answer.trailers.map(([name, value]) => [name.toLowerCase(), value])]).toEqual([
      'hello',
      [['x-sum', '1']],
    ])
    expect(header(answer, 'x-sum')).toBeUndefined()
    expect((await client.send(GET).message()).body).toBe('hello')
  })

  test.each([204, 304])('of a %i is none, and the connection goes on', async (code) => {
    await using world = await answering(`HTTP/1.1 ${code} None\r\nETag: "x"\r\n\r\n`)
    const client = await world.client()
    for (let i = 0; i < 2; i++) {
      const answer = await client.send(GET).message()
      expect([status(answer), header(answer, 'etag'), client.pending]).toEqual([code, '"x"', ''])
    }
  })

  // RFC 9110 §8.6: some would wait for it.
  test('of a 204 is none, whatever length it claims', async () => {
    await using world = await answering('HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n')
    const client = await world.client()
    expect(header(await client.send(GET).message(), 'content-length')).toBeUndefined()
  })

  test('may be empty', async () => {
    await using world = await answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    const client = await world.client()
    for (let i = 0; i < 2; i++)
      expect(await client.send(GET).message()).toMatchObject({ framing: 'length', body: '' })
  })

  test('after interim answers is that of the final one', async () => {
    await using world = await answering(
      `HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}`,
    )
    const client = await world.client()
    for (let i = 0; i < 2; i++) {
      let answer = await client.send(GET).message()
      while (status(answer) < 200) answer = await client.message()
      expect([status(answer), header(answer, 'link'), answer.body]).toEqual([200, undefined, 'ok'])
    }
  })

  test('that comes before the request’s own has ended reaches the client, and ends its connection', async () => {
    await using world = await rawWorld(async (wire) => {
      await wire.until('\r\n\r\n')
      wire.send('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')
      await wire.rest()
    })
    const client = await world.client()
    const answer = await client.send(`${POST}Content-Length: 1000000\r\n\r\nfirst`).message()
    expect([status(answer), answer.body]).toEqual([413, 'big'])
    // What the client still sends must not be taken for its next request.
    expect([header(answer, 'connection'), await client.rest()]).toEqual(['close', ''])
    await world.idle()
  })

  test('that comes early reaches a client that is still pouring out its own', async () => {
    await using world = await rawWorld(async (wire) => {
      await wire.until('\r\n\r\n')
      wire.send('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')
      await wire.rest()
    })
    const client = await world.client()
    client.send(`${POST}Content-Length: ${PARTS * PART.length}\r\n\r\n`)
    for (let i = 0; i < PARTS && !client.ended; i++) await client.flush(PART)
    const answer = await client.message()
    expect([status(answer), answer.body]).toEqual([413, 'big'])
    await world.idle()
  })
})
