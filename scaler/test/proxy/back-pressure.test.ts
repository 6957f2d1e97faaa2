import { once } from 'node:events'
import { expect, test, vi } from 'vitest'
import { settle } from '../../src/drivers/fake/index.ts'
import type { Wire } from './wire.ts'
import { rawWorld, until } from './world.ts'

// Many MB, on machines that do other things as well.
vi.setConfig({ testTimeout: 30_000 })

const PART = Buffer.alloc(64 * 1024, 'x')
const PARTS = 2_048
const TOTAL = PART.length * PARTS
/** What the kernel and the streams between the two ends may hold; a proxy that reads on would have taken it all. */
const HELD = 32 * 1024 * 1024
/** Turns of the event loop without a byte after which nothing moves any more: data on this machine takes a few. */
const STILL = 100

interface Flow {
  written: number
}

/** Writes all parts, each once there is room for it. */
async function pour(wire: Wire, flow: Flow): Promise<void> {
  for (let i = 0; i < PARTS; i++) {
    flow.written += PART.length
    if (!wire.socket.write(PART)) await once(wire.socket, 'drain')
  }
}

/** Waits until no more can be written. */
async function stalled(flow: Flow): Promise<void> {
  let still = 0
  for (let last = -1; still < STILL; last = flow.written) {
    await settle()
    still = flow.written === last ? still + 1 : 0
  }
}

/** Counts what comes, and keeps none of it. */
function count(wire: Wire): { read: number } {
  const counter = { read: 0 }
  wire.socket.removeAllListeners('data')
  wire.socket.on('data', (data: Buffer) => (counter.read += data.length))
  return counter
}

test('a client that does not read stops the app from writing; once it reads it gets every byte', async () => {
  const flow = { written: 0 }
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`)
    await pour(wire, flow)
  })
  const client = await world.client()
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('\r\n\r\n')
  const before = client.pending.length
  const counter = count(client)
  client.socket.pause()
  await until(() => flow.written > 0)
  await stalled(flow)
  expect(flow.written).toBeLessThan(HELD)
  client.socket.resume()
  await until(() => counter.read + before === TOTAL)
  await world.idle()
})

test('an app that does not read stops the client from writing; once it reads it gets every byte', async () => {
  const flow = { written: 0 }
  let app: Wire | undefined
  await using world = await rawWorld(async (wire) => {
    await wire.until('\r\n\r\n')
    wire.socket.pause()
    app = wire
  })
  const client = await world.client()
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
  const poured = pour(client, flow)
  await until(() => app !== undefined)
  await stalled(flow)
  expect(flow.written).toBeLessThan(HELD)
  const before = app!.pending.length
  const counter = count(app!)
  app!.socket.resume()
  await poured
  await until(() => counter.read + before === TOTAL)
  app!.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  expect((await client.message()).body).toBe('ok')
})

test('a target that sleeps stops the client from writing; once awake it gets every byte', async () => {
  const flow = { written: 0 }
  let counter: { read: number } | undefined
  let before = 0
  await using world = await rawWorld(
    async (wire) => {
      await wire.until('\r\n\r\n')
      before = wire.pending.length
      counter = count(wire)
      await until(() => counter!.read + before === TOTAL)
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    },
    { asleep: true },
  )
  const client = await world.client()
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
  const poured = pour(client, flow)
  await world.waking()
  await stalled(flow)
  expect(flow.written).toBeLessThan(HELD)
  world.wake()
  await poured
  expect((await client.message()).body).toBe('ok')
})
