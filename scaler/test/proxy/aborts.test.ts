import { describe, expect, test } from 'vitest'
import { settle } from '../../src/drivers/fake/index.ts'
import { readChunk, status } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, remembering, until } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

const LEAVINGS: readonly [string, (client: Wire) => void][] = [
  ['is closed', (client) => client.close()],
  ['is reset', (client) => client.reset()],
]

describe.each(LEAVINGS)('a client whose connection %s', (_name, leave) => {
  test('while its request waits for a wake leaves the queue, and its request is never sent', async () => {
    await using world = await remembering(OK, { asleep: true })
    const client = await world.client()
    client.send('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n')
    await world.waking()
    leave(client)
    await until(() => world.activator.stats('app')?.queued === 0)
    expect(world.activator.stats('app')?.phase).toBe('waking')
    world.wake()
    const next = await world.client()
    await next.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n').message()
    expect(world.seen.map(({ start }) => start)).toEqual(['GET /next HTTP/1.1'])
    await world.idle()
  })

  test('while it uploads ends the upload at the app, unfinished', async () => {
    let received: string | undefined
    let begun = false
    await using world = await rawWorld(async (wire) => {
      await wire.until('hello')
      begun = true
      received = await wire.rest()
    })
    const client = await world.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await until(() => begun)
    expect(world.activator.stats('app')?.inFlight).toBe(1)
    leave(client)
    await until(() => received !== undefined)
    expect(received).not.toContain('0\r\n\r\n')
    await world.idle()
  })

  test('before the answer begins ends its request at the app', async () => {
    let begun = false
    let ended = false
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      begun = true
      await wire.rest()
      ended = true
    })
    const client = await world.client()
    client.send(GET)
    await until(() => begun)
    leave(client)
    await until(() => ended)
    await world.idle()
  })

  test('amid a stream ends the stream at the app', async () => {
    let app: Wire | undefined
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      app = wire
    })
    const client = await world.client()
    await client.send(GET).until('\r\n\r\n')
    expect(await readChunk(client)).toBe('hello')
    expect(world.activator.stats('app')?.inFlight).toBe(1)
    leave(client)
    await app!.rest()
    await world.idle()
  })

  test('with several pipelined requests ends them all', async () => {
    let begun = 0
    let ended = 0
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      begun++
      await wire.rest()
      ended++
    })
    const client = await world.client()
    client.send(GET + GET + GET)
    await until(() => begun === 3)
    expect(world.activator.stats('app')?.inFlight).toBe(3)
    leave(client)
    await until(() => ended === 3)
    await world.idle()
  })
})

// As Node's server, nginx and Go have it: who ends its side is no longer there to be answered.
test('a client that ends its side amid a request has left', async () => {
  let ended = false
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    await wire.rest()
    ended = true
  })
  const client = await world.client()
  client.send(GET)
  await until(() => world.activator.stats('app')?.inFlight === 1)
  client.socket.end()
  await until(() => ended)
  await world.idle()
})

test('hundreds of clients that leave at any moment leave nothing behind', async () => {
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      await settle()
      wire.send('0\r\n\r\n')
    }
  })
  for (let round = 0; round < 40; round++) {
    const clients = await Promise.all(Array.from({ length: 8 }, () => world.client()))
    clients.forEach((client, i) => client.send(GET.slice(0, i % 2 ? undefined : GET.length - 4 * (i % 3))))
    for (let turn = 0; turn < round % 8; turn++) await settle()
    clients.forEach((client, i) => (i % 2 ? client.close() : client.reset()))
  }
  await world.idle()
  const client = await world.client()
  const answer = await client.send(GET).message()
  expect([status(answer), answer.body]).toEqual([200, 'hello'])
})
