import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { status } from '../message.ts'
import { Wire } from '../wire.ts'
import type { News, Order } from './proxy.ts'

const MB = 1024 * 1024
const PART = Buffer.alloc(MB, 'x')
const PARTS = 2_048
const TOTAL = PARTS * MB
/** A tenth of what passes: what garbage there is between two collections, and nothing that grows with it. */
const BOUND = 200 * MB

let proxy: ChildProcess
let app: Server
let port: number
/** Resident when it had served nothing but one small request. */
let before: number
/** Body bytes that the app has got of the last upload. */
let received = 0

beforeEach(async () => {
  app = createServer((socket) => void serve(new Wire(socket)).catch(() => undefined)).listen(0, '127.0.0.1')
  await once(app, 'listening')
  proxy = fork(fileURLToPath(new URL('./proxy.ts', import.meta.url)), {
    execArgv: ['--conditions=@fp/source'],
  })
  port = ((await news()) as { port: number }).port
  await order({ wake: appUrl() })
  const client = await Wire.to(port)
  expect(status(await client.send('GET /small HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(200)
  client.close()
  before = (await memory()).now
})
afterEach(async () => {
  proxy.disconnect()
  await once(proxy, 'exit')
  app.close()
})

test('2 GB go up to a target that is awake, and the proxy stays small', async () => {
  await upload(await Wire.to(port), `Content-Length: ${TOTAL}\r\n`)
  await expectSmall()
})

test('2 GB go up to a target that is asleep at first, and the proxy stays small', async () => {
  const asleep = news()
  await order('sleep')
  expect(await asleep).toBe('asleep')
  const waking = news()
  const client = await Wire.to(port)
  const uploaded = upload(client, `Content-Length: ${TOTAL}\r\n`)
  expect(await waking).toBe('waking')
  await order({ wake: appUrl() })
  await uploaded
  await expectSmall()
})

test('2 GB come down to a client that stops reading now and then, and the proxy stays small', async () => {
  const client = await Wire.to(port)
  client.send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('\r\n\r\n')
  let read = client.pending.length
  client.socket.removeAllListeners('data')
  client.socket.on('data', (data: Buffer) => {
    const stop = Math.floor(read / (64 * MB)) < Math.floor((read + data.length) / (64 * MB))
    read += data.length
    if (stop && read < TOTAL) pauseForAWhile(client)
    if (read === TOTAL) client.socket.end()
  })
  await once(client.socket, 'close')
  expect(read).toBe(TOTAL)
  await expectSmall()
})

/** Until the proxy has answered questions, one after another: time in which it would fill up. */
function pauseForAWhile({ socket }: Wire): void {
  socket.pause()
  const asked = Array.from({ length: 20 }).reduce<Promise<unknown>>(
    (before) => before.then(memory),
    Promise.resolve(),
  )
  void asked.then(() => socket.resume())
}

async function expectSmall(): Promise<void> {
  const { peak } = await memory()
  console.log(`the proxy grew by ${Math.round((peak - before) / MB)} MB at its peak`)
  expect(peak - before).toBeLessThan(BOUND)
}

async function upload(client: Wire, length: string): Promise<void> {
  received = 0
  client.send(`POST /up HTTP/1.1\r\nHost: a\r\n${length}\r\n`)
  for (let i = 0; i < PARTS; i++) await client.flush(PART)
  expect(status(await client.message())).toBe(200)
  expect(received).toBe(TOTAL)
  client.close()
}

async function serve(wire: Wire): Promise<void> {
  for (;;) {
    const [start = ''] = (await wire.until('\r\n\r\n')).split('\r\n')
    if (start.includes('/small')) wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    else if (start.includes('/large')) {
      wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`)
      for (let i = 0; i < PARTS; i++) await wire.flush(PART)
    } else {
      for (; received < TOTAL; received += MB) await wire.take(MB)
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  }
}

function appUrl(): string {
  return `http://127.0.0.1:${(app.address() as AddressInfo).port}`
}

async function order(message: Order): Promise<void> {
  await new Promise((resolve) => proxy.send(message, resolve))
}

async function news(): Promise<News> {
  return ((await once(proxy, 'message')) as [News])[0]
}

async function memory(): Promise<{ now: number; peak: number }> {
  const told = news()
  await order('memory')
  return (await told) as { now: number; peak: number }
}
