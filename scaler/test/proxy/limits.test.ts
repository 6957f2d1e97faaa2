import { describe, expect, test } from 'vitest'
import { status } from './message.ts'
import { rawWorld, remembering } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
/** Node's own default: see `maxHeaderSize` of node:http. */
const MAX_HEADER_SIZE = 16 * 1024

describe('a request that is too large', () => {
  test.each([
    ['one header', `GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(2 * MAX_HEADER_SIZE)}\r\n\r\n`],
    ['many headers', `GET / HTTP/1.1\r\nHost: a\r\n${'X-Many: 0123456789\r\n'.repeat(2_000)}\r\n`],
    ['a header name', `GET / HTTP/1.1\r\nHost: a\r\n${'x'.repeat(2 * MAX_HEADER_SIZE)}: 1\r\n\r\n`],
    ['its URL', `GET /${'x'.repeat(2 * MAX_HEADER_SIZE)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['headers that never end', `GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(2 * MAX_HEADER_SIZE)}`],
  ])('(%s) is answered 431, its connection is closed and it goes no further', async (_name, bytes) => {
    await using world = await remembering(OK)
    const client = await world.client()
    const answer = await client.send(bytes).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expect(world.seen).toEqual([])
  })

  test('by its chunk extensions is answered 413, and never ends at the app as if it were whole', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    client.send(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(2 * MAX_HEADER_SIZE)}\r\nhello\r\n0\r\n\r\n`,
    )
    expect(await client.rest()).toMatch(/^(HTTP\/1\.1 (400|413) |$)/)
    await world.idle()
    expect(world.seen).toEqual([])
  })

  test('by its trailers is refused, and never ends at the app as if it were whole', async () => {
    await using world = await remembering(OK)
    const client = await world.client()
    client.send(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Large: ${'x'.repeat(2 * MAX_HEADER_SIZE)}\r\n\r\n`,
    )
    expect(await client.rest()).toMatch(/^(HTTP\/1\.1 431 |$)/)
    await world.idle()
    expect(world.seen).toEqual([])
  })

  test('by the limit that the embedder has set is answered 431', async () => {
    await using world = await remembering(OK, { server: { http: { maxHeaderSize: 1024 } } })
    const client = await world.client()
    expect(await client.send(`GET /${'x'.repeat(2_000)} HTTP/1.1\r\nHost: a\r\n\r\n`).rest()).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    expect(world.seen).toEqual([])
  })
})

describe('a request that is just not too large', () => {
  test.each([
    ['URL', `GET /${'x'.repeat(15_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['header', `GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(15_000)}\r\n\r\n`],
    [
      'number of headers',
      `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: 500 }, (_, i) => `X-${i}: ${i}\r\n`).join('')}\r\n`,
    ],
  ])('by its %s goes through', async (_name, bytes) => {
    await using world = await remembering(OK)
    const client = await world.client()
    expect(status(await client.send(bytes).message())).toBe(200)
    expect(status(await client.send(GET).message())).toBe(200)
  })
})

test('an answer with headers of nearly 64 KB goes through', async () => {
  const large = 'x'.repeat(64 * 1024 - 100)
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(`HTTP/1.1 200 OK\r\nX-Large: ${large}\r\nContent-Length: 2\r\n\r\nok`)
  })
  const client = await world.client()
  const answer = await client.send(GET).message()
  expect(answer.headers.find(([name]) => name.toLowerCase() === 'x-large')?.[1]).toBe(large)
})
