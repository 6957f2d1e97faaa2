import { describe, expect, test } from 'vitest'
import { settle } from '../../src/drivers/fake/index.ts'
import { readChunk, status } from './message.ts'
import { rawWorld, remembering, until, world as nodeWorld, type WorldOptions } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** What bounds slow clients: options of the embedder's server, in ms; short, but not too short for a busy machine. */
const SHORT: WorldOptions = {
  server: { http: { headersTimeout: 1_000, connectionsCheckingInterval: 50 }, requestTimeout: 1_200 },
}
/** Bytes, one a turn of the event loop; fewer than headers may have. */
const DRIBBLED = 5_000
/** ms */
const RESPONSE_TIMEOUT = 1_500
const IDLE_BODY_TIMEOUT = 1_000

describe('a slow client', () => {
  test.each(['', 'GET / HTTP/1.1\r\nHost: a\r\n', 'GET / HTTP/1.1\r\nHo', '\r\n'])(
    'whose headers do not end (%j) is answered 408 or cut off, and goes no further',
    async (bytes) => {
      await using world = await remembering(OK, SHORT)
      const client = await world.client()
      expect(await client.send(bytes).rest()).toMatch(/^(HTTP\/1\.1 408 |$)/)
      expect(world.seen).toEqual([])
    },
  )

  test('that dribbles its headers is cut off though each byte comes in time', async () => {
    await using world = await remembering(OK, SHORT)
    const client = await world.client()
    client.send('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    for (let i = 0; i < DRIBBLED && !client.ended; i++) {
      await client.flush('x')
      await settle()
    }
    expect(await client.rest()).toMatch(/^(HTTP\/1\.1 408 |$)/)
    expect(world.seen).toEqual([])
  })

  test('whose body does not end is cut off, and so is its request to the app', async () => {
    let received = ''
    await using world = await rawWorld(async (wire) => {
      await wire.until('\r\n\r\n')
      received = await wire.rest()
    }, SHORT)
    const client = await world.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await client.rest()
    await until(() => received !== '')
    expect(received).not.toContain('0\r\n\r\n')
    await world.idle()
  })

  test('that stops amid its upload is cut off where the embedder limits that', async () => {
    let ended = false
    await using world = await rawWorld(
      async (wire) => {
        await wire.until('hello')
        await wire.rest()
        ended = true
      },
      { proxy: { idleBodyTimeout: IDLE_BODY_TIMEOUT } },
    )
    const client = await world.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello')
    await client.rest()
    await until(() => ended)
    await world.idle()
  })

  test('costs the others nothing', async () => {
    await using world = await remembering(OK, SHORT)
    const slow = await Promise.all(Array.from({ length: 50 }, () => world.client()))
    for (const client of slow) client.send('GET / HTTP/1.1\r\nHost: a\r\n')
    const client = await world.client()
    expect(status(await client.send(GET).message())).toBe(200)
    await Promise.all(slow.map((each) => each.rest()))
    expect(world.seen.map(({ start }) => start)).toEqual(['GET / HTTP/1.1'])
  })
})

test('an upload may take longer than the app may take to answer it', async () => {
  await using world = await rawWorld(
    async (wire) => {
      if ((await wire.until('\r\n\r\n')).includes('silent')) return
      await wire.take(10)
      wire.send(OK)
    },
    { proxy: { responseTimeout: RESPONSE_TIMEOUT } },
  )
  const client = await world.client()
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello')
  // One that came later and has run out of its time shows that the time of the first would have passed.
  const other = await world.client()
  expect(status(await other.send('GET /silent HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(504)
  expect(status(await client.send('world').message())).toBe(200)
})

describe('a slow app', () => {
  test('that does not begin to answer gets its client a 504, once, and its place back', async () => {
    let calls = 0
    let ended = false
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        if (++calls > 1) return void wire.send(OK)
        await wire.rest()
        ended = true
      },
      { proxy: { responseTimeout: RESPONSE_TIMEOUT } },
    )
    const client = await world.client()
    const answer = await client.send(GET).message()
    expect([status(answer), JSON.parse(answer.body)]).toEqual([504, { code: 'SCALER_UPSTREAM_TIMEOUT' }])
    await until(() => ended)
    await world.idle()
    expect(calls).toBe(1)
    expect(status(await client.send(GET).message())).toBe(200)
  })

  test('that dribbles its head is not waited for any longer', async () => {
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send('HTTP/1.1 200 OK\r\nX-Slow: ')
        while (!wire.ended) {
          await wire.flush('x')
          await settle()
        }
      },
      { proxy: { responseTimeout: RESPONSE_TIMEOUT } },
    )
    const client = await world.client()
    // Too late, or too large before it was too late.
    expect([502, 504]).toContain(status(await client.send(GET).message()))
    await world.idle()
  })

  test('that takes its time between two parts of its body is waited for', async () => {
    let more = (): void => undefined
    await using world = await nodeWorld(
      (request, response) => {
        if (request.url === '/silent') return
        response.write('first')
        more = () => response.end('second')
      },
      { proxy: { responseTimeout: RESPONSE_TIMEOUT } },
    )
    const client = await world.client()
    client.send(GET)
    await client.until('\r\n\r\n')
    expect(await readChunk(client)).toBe('first')
    // One that came later and has run out of its time shows that the time of the first has passed.
    const other = await world.client()
    expect(status(await other.send('GET /silent HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(504)
    more()
    expect(await readChunk(client)).toBe('second')
  })

  test.each([
    ['of known length', 'Content-Length: 100\r\n\r\nhello'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
  ])('that stops amid its body (%s) is cut off where the embedder limits that', async (_name, rest) => {
    let ended = false
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send(`HTTP/1.1 200 OK\r\n${rest}`)
        await wire.rest()
        ended = true
      },
      { proxy: { idleBodyTimeout: IDLE_BODY_TIMEOUT } },
    )
    const client = await world.client()
    client.send(GET)
    await client.until('hello')
    // Neither a last chunk nor the rest of the length.
    expect((await client.rest()).trim()).toBe('')
    await until(() => ended)
    await world.idle()
  })

  test('whose wake is slow is not charged for it: its time begins with the request it gets', async () => {
    await using world = await rawWorld(
      async (wire) => {
        if (!(await wire.message()).start.includes('silent')) wire.send(OK)
      },
      {
        asleep: true,
        proxy: {
          responseTimeout: RESPONSE_TIMEOUT,
          resolve: ({ url }) => Promise.resolve(url === '/silent' ? 'other' : 'app'),
        },
      },
    )
    const client = await world.client()
    client.send(GET)
    await world.waking()
    // One that came later and has run out of its time shows that the time of the first would have passed.
    world.wake('other')
    const other = await world.client()
    expect(status(await other.send('GET /silent HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(504)
    world.wake()
    expect(status(await client.message())).toBe(200)
  })
})
