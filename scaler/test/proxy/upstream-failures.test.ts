import { describe, expect, test } from 'vitest'
import { header, readChunk, status } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, until, whileTimePasses } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
/** Unix sockets cannot be reset. */
const TCP = { tcp: true }
const GOOD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'

/** Answers that are not HTTP, or of which two parsers could make two things. */
const INVALID: Readonly<Record<string, string>> = {
  'no HTTP at all': 'Hello, I am no HTTP server\r\n\r\n',
  'a TLS record': '\x15\x03\x01\x00\x02\x02\x0a',
  'Content-Length and Transfer-Encoding':
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two different Content-Lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
  'a Content-Length that is no number': 'HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello',
  'a signed Content-Length': 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello',
  'a list of Content-Lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello',
  'a space before the colon': 'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello',
  'a header line without a colon': 'HTTP/1.1 200 OK\r\nX\r\nContent-Length: 5\r\n\r\nhello',
  'a NUL in a header value': 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 5\r\n\r\nhello',
  'a bare CR in a header value': 'HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 5\r\n\r\nhello',
  'a control character in a header value': 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 5\r\n\r\nhello',
  'parentheses in a header name': 'HTTP/1.1 200 OK\r\nX(A): 1\r\nContent-Length: 5\r\n\r\nhello',
  'bare LF line ends': 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello',
  'a Transfer-Encoding that nobody asked for':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'a Transfer-Encoding that does not end in chunked':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello',
  'a folded header line': 'HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 5\r\n\r\nhello',
  'a status of two digits': 'HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello',
  'a status of 099': 'HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello',
  'a status of 999': 'HTTP/1.1 999 OK\r\nContent-Length: 5\r\n\r\nhello',
  'an unasked switch of protocols':
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
  'headers of more than 64 KB': `HTTP/1.1 200 OK\r\nX-Large: ${'x'.repeat(64 * 1024)}\r\nContent-Length: 5\r\n\r\nhello`,
}

/** The second has a body that comes after its head: it is sent on over another way, with another parser. */
const WAYS = { 'a GET': GET, 'an upload': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n' }

describe.each(Object.entries(WAYS))('an app that answers %s with', (_way, request) => {
  test.each(Object.entries(INVALID))('%s: the client gets one clean 502', async (_name, bytes) => {
    let calls = 0
    await using world = await rawWorld(async (wire) => {
      await wire.until('\r\n\r\n')
      wire.send(++calls === 1 ? bytes : GOOD)
      await wire.rest()
    })
    const first = await world.client()
    const answer = await first.send(request).message()
    expect([status(answer), header(answer, 'content-type')]).toEqual([502, expect.stringContaining('json')])
    expect(Object.keys(JSON.parse(answer.body) as object)).toContain('code')
    expect(answer.body).not.toContain('hello')
    await world.idle()
    expect(calls).toBe(1)
    if (!world.activator.stats('app')?.endpoints) world.wake()
    const client = await world.client()
    expect((await client.send(GET).message()).body).toBe('good')
  })
})

describe('an app that closes the connection', () => {
  test.each([
    ['in order', (wire: Wire) => void wire.socket.end()],
    ['by a reset', (wire: Wire) => wire.reset()],
  ])('%s before its answer: one 502, and no second try', async (_name, leave) => {
    let calls = 0
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      if (++calls === 1) leave(wire)
      else wire.send(GOOD)
    }, TCP)
    const client = await world.client()
    const answer = await client.send(GET).message()
    expect([status(answer), JSON.parse(answer.body)]).toEqual([502, { code: 'SCALER_UPSTREAM_RESET' }])
    expect(calls).toBe(1)
    await world.idle()
    world.wake()
    expect((await client.send(GET).message()).body).toBe('good')
  })

  test.each([
    ['in order', (wire: Wire) => void wire.socket.end()],
    ['by a reset', (wire: Wire) => wire.reset()],
  ])('%s amid its head: one 502, nothing of the head', async (_name, leave) => {
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      await wire.flush('HTTP/1.1 200 OK\r\nX-Half: ')
      leave(wire)
    }, TCP)
    const client = await world.client()
    const answer = await client.send(GET).message()
    expect([status(answer), header(answer, 'x-half')]).toEqual([502, undefined])
    await world.idle()
  })

  test.each([
    [
      'in order, chunked',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      (wire: Wire) => void wire.socket.end(),
    ],
    ['by a reset, chunked', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', (wire: Wire) => wire.reset()],
    ['in order, of known length', 'Content-Length: 10\r\n\r\nhello', (wire: Wire) => void wire.socket.end()],
    ['by a reset, of known length', 'Content-Length: 10\r\n\r\nhello', (wire: Wire) => wire.reset()],
  ])('%s, amid its body: the client sees that it is cut off', async (_name, rest, leave) => {
    let app: Wire | undefined
    let calls = 0
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      if (++calls > 1) return void wire.send(GOOD)
      wire.send(`HTTP/1.1 200 OK\r\n${rest}`)
      app = wire
    }, TCP)
    const client = await world.client()
    await client.send(GET).until('\r\n\r\n')
    if (rest.startsWith('Transfer')) expect(await readChunk(client)).toBe('hello')
    else expect((await client.take(5)).toString()).toBe('hello')
    leave(app!)
    // Neither a last chunk nor the rest of the length, nor a second answer.
    expect(await client.rest()).toBe('')
    await world.idle()
    expect(calls).toBe(1)
    const next = await world.client()
    if (!world.activator.stats('app')?.endpoints) world.wake()
    expect((await next.send(GET).message()).body).toBe('good')
  })

  test('amid its body to an HTTP/1.0 client, for whom the end is the end of the body: it is no orderly one', async () => {
    let app: Wire | undefined
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      app = wire
    })
    const client = await world.client()
    await client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n').until('hello')
    app!.close()
    await client.rest()
    expect(client.finished).toBe(false)
    await world.idle()
  })

  test('amid an upload: one answer or a cut connection, and no second try', async () => {
    let calls = 0
    await using world = await rawWorld(async (wire) => {
      calls++
      await wire.until('hello')
      wire.reset()
    }, TCP)
    const client = await world.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello')
    await until(() => calls === 1)
    const answer = await client.message()
    expect([status(answer), header(answer, 'connection')]).toEqual([502, 'close'])
    await world.idle()
    expect(calls).toBe(1)
  })
})

test('an answer with more bytes than its length does not become the answer to the next request', async () => {
  let calls = 0
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      await wire.message()
      wire.send(++calls === 1 ? `${GOOD}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : GOOD)
    }
  })
  const client = await world.client()
  for (let i = 0; i < 3; i++) {
    expect((await client.send(GET).message()).body).toBe('good')
    await world.idle()
    if (!world.activator.stats('app')?.endpoints) world.wake()
  }
})

test('bytes that an app sends unasked never become an answer', async () => {
  let first: Wire | undefined
  await using world = await rawWorld(async (wire) => {
    first ??= wire
    for (;;) {
      await wire.message()
      wire.send(GOOD)
    }
  })
  const client = await world.client()
  expect((await client.send(GET).message()).body).toBe('good')
  await world.idle()
  await first!.flush('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
  await first!.rest()
  expect((await client.send(GET).message()).body).toBe('good')
})

describe('a connection that is refused', () => {
  test.each([
    'Content-Length: 7\r\n\r\npayload',
    'Transfer-Encoding: chunked\r\n\r\n7\r\npayload\r\n0\r\n\r\n',
  ])('costs nothing: the request goes to the next endpoint, its body whole (%j)', async (rest) => {
    const seen: string[] = []
    await using world = await rawWorld(
      async (wire) => {
        seen.push((await wire.message()).body)
        wire.send(GOOD)
      },
      { asleep: true },
    )
    world.driver.emit('app', { ready: [{ id: 'gone', url: new URL(`unix:${world.appPath}.gone`) }] })
    world.driver.onScale = ({ replicas }) => {
      if (replicas > 0) world.wake()
    }
    const client = await world.client()
    world.driver.onProbe = ({ id }) => id !== 'gone'
    const answer = client.send(`POST / HTTP/1.1\r\nHost: a\r\n${rest}`).message()
    expect((await whileTimePasses(world, answer)).body).toBe('good')
    expect(seen).toEqual(['payload'])
  })

  test('again and again is a 502 in the end', async () => {
    await using world = await rawWorld(() => Promise.resolve(), { asleep: true })
    let starts = 0
    world.driver.onScale = ({ replicas }) => {
      if (replicas === 0) return
      world.driver.emit('app', {
        ready: [{ id: `gone-${++starts}`, url: new URL(`unix:${world.appPath}.gone`) }],
      })
    }
    const client = await world.client()
    const answer = await client.send(GET).message()
    expect([status(answer), JSON.parse(answer.body)]).toEqual([502, { code: 'SCALER_UPSTREAM_REFUSED' }])
  })
})
