import { describe, expect, test } from 'vitest'
import { header, status } from './message.ts'
import { rawWorld, type World } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
/** Goes to the app by Node's own client: the body comes after the head. */
const UPLOAD = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** An app that answers every request with these bytes. */
function answering(bytes: string): Promise<World> {
  return rawWorld(async (wire) => {
    for (;;) {
      await wire.until('\r\n\r\n')
      wire.send(bytes)
    }
  })
}

/** The front can only know by then that the answer is one to cut. */
const CUT: readonly [string, string][] = [
  ['trailers of many lines', `${CHUNKED}0\r\n${'a: b\r\n'.repeat(9_000)}\r\n`],
  ['a large trailer', `${CHUNKED}0\r\na: ${'b'.repeat(100_000)}\r\n\r\n`],
  ['extensions of its chunks', `${CHUNKED}${`1;${'e'.repeat(20_000)}\r\nx\r\n`.repeat(5)}0\r\n\r\n`],
]

const REFUSED: readonly [string, string][] = [
  ['more than 1,000 headers', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(1_001)}Content-Length: 2\r\n\r\nok`],
  ['headers without an end', `HTTP/1.1 200 OK\r\n${'a:\r\n'.repeat(20_000)}`],
  ['more than 16 interim answers', `${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(17)}${OK}`],
]

describe.each([
  ['GET', GET],
  ['upload', UPLOAD],
])('an app that answers a %s with', (_name, request) => {
  test.each(CUT)('%s: the answer is cut', async (_answer, bytes) => {
    await using world = await answering(bytes)
    const client = await world.client()
    const got = await client.send(request).rest()
    expect(got.includes('\r\n0\r\n')).toBe(false)
    await world.idle()
  })

  test.each(REFUSED)('%s: the client gets one clean 502', async (_answer, bytes) => {
    await using world = await answering(bytes)
    const client = await world.client()
    expect(status(await client.send(request).message())).toBe(502)
    await world.idle()
  })

  test('16 interim answers and 1,000 headers: the client gets the answer', async () => {
    const head = `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(998)}X-Last: 1\r\nContent-Length: 2\r\n\r\n`
    await using world = await answering(`${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(16)}${head}ok`)
    const client = await world.client()
    const answer = await client.send(request).message()
    expect([status(answer), header(answer, 'x-last'), answer.body]).toEqual([200, '1', 'ok'])
  })

  test('tiny chunks: the client gets them in a few large ones', async () => {
    const count = 20_000
    await using world = await answering(`${CHUNKED}${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`)
    const client = await world.client()
    const got = await client.send(request).until('\r\n0\r\n')
    expect(got.split('\r\n\r\n')[1]!.match(/^x+$/gm)!.join('')).toHaveLength(count)
    expect(got.match(/^x+$/gm)!.length).toBeLessThan(100)
  })
})

test.each(REFUSED)(
  'an app that answers a WebSocket with %s: the client gets a 502',
  async (_answer, bytes) => {
    await using world = await answering(bytes)
    const client = await world.client()
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
    client.send(`GET / HTTP/1.1\r\nHost: a\r\n${upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`)
    expect(await client.until('\r\n')).toContain(' 502 ')
    await world.idle()
  },
)
