import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { header, readChunk } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, until } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n'
const EVENTS =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n'

describe.each([
  ['awake', false],
  ['asleep at first', true],
])('a stream of events of a target that is %s', (_name, asleep) => {
  test('passes each event before the next is sent, and the head before the first', async () => {
    let app: Wire | undefined
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send(EVENTS)
        app = wire
      },
      { asleep },
    )
    const client = await world.client()
    client.send(GET)
    if (asleep) {
      await world.waking()
      world.wake()
    }
    expect(await client.until('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*text\/event-stream/)
    for (let i = 0; i < 5; i++) {
      app!.send(`9\r\ndata: ${i}\n\n\r\n`)
      expect(await readChunk(client)).toBe(`data: ${i}\n\n`)
      expect(world.activator.stats('app')?.inFlight).toBe(1)
    }
    app!.send('0\r\n\r\n')
    expect(await readChunk(client)).toBe('')
    await world.idle()
  })
})

test('a stream of an upload passes each part before the next is sent', async () => {
  let app: Wire | undefined
  await using world = await rawWorld((wire) => {
    app = wire
    return Promise.resolve()
  })
  const client = await world.client()
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
  await until(() => app !== undefined)
  // undici ends a chunk when it begins the next one: its bytes have come, the line's end has not.
  await app!.until('one')
  client.send('3\r\ntwo\r\n')
  await app!.until('two')
  app!.send(`${EVENTS}3\r\nnow\r\n`)
  await client.until('\r\n\r\n')
  expect(await readChunk(client)).toBe('now')
  client.send('5\r\nthree\r\n0\r\n\r\n')
  await app!.until('three\r\n0\r\n\r\n')
  app!.send('0\r\n\r\n')
  expect(await readChunk(client)).toBe('')
})

test('a compressed body is passed as it is', async () => {
  const packed = gzipSync('hello '.repeat(1_000)).toString('latin1')
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(
      `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: ${packed.length}\r\n\r\n${packed}`,
    )
  })
  const client = await world.client()
  const answer = await client.send(GET).message()
  expect([header(answer, 'content-encoding'), header(answer, 'vary'), answer.body]).toEqual([
    'gzip',
    'Accept-Encoding',
    packed,
  ])
})

test('a stream is not idle: its target is not put to sleep under it', async () => {
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(EVENTS)
  })
  const client = await world.client()
  client.send(GET)
  await client.until('\r\n\r\n')
  await world.clock.advance(24 * 60 * 60_000)
  expect(await world.activator.sleep('app')).toBe(false)
  expect(world.driver.calls).toEqual([])
  client.close()
  await world.idle()
  expect(await world.activator.sleep('app')).toBe(true)
})
