import { once } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import WebSocket, { WebSocketServer, type ServerOptions } from 'ws'
import { until, world, type World } from '../world.ts'

// Many MB, on machines that do other things as well.
vi.setConfig({ testTimeout: 30_000 })

interface Echo extends AsyncDisposable {
  readonly world: World
  readonly server: WebSocketServer
  readonly url: string
}

/** A WebSocket server that sends back every message, behind the proxy. */
async function echo(options: ServerOptions = {}, asleep = false): Promise<Echo> {
  const started = await world((_request, response) => response.end(), { asleep })
  const server = new WebSocketServer({ ...options, server: started.app })
  server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
  return {
    world: started,
    server,
    url: `ws://127.0.0.1:${started.port}/`,
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  }
}

async function answer(client: WebSocket, message: string | Buffer): Promise<Buffer> {
  client.send(message)
  return ((await once(client, 'message')) as [Buffer])[0]
}

describe.each([
  ['awake', false],
  ['asleep at first', true],
])('a WebSocket to a target that is %s', (_name, asleep) => {
  test('opens, echoes, and closes with its code and reason', async () => {
    await using app = await echo({}, asleep)
    const client = new WebSocket(app.url)
    if (asleep) {
      await app.world.waking()
      app.world.wake()
    }
    await once(client, 'open')
    expect(String(await answer(client, 'hello'))).toBe('hello')
    client.close(4321, 'that was all')
    const [code, reason] = (await once(client, 'close')) as [number, Buffer]
    expect([code, String(reason)]).toEqual([4321, 'that was all'])
    await app.world.idle()
  })
})

test('codes and reasons of either end reach the other', async () => {
  await using app = await echo()
  for (const code of [1000, 1001, 1008, 1011, 3000, 4999]) {
    const client = new WebSocket(app.url)
    const [[socket]] = (await Promise.all([once(app.server, 'connection'), once(client, 'open')])) as [
      [WebSocket],
      unknown,
    ]
    const closed = Promise.all([once(client, 'close'), once(socket, 'close')])
    if (code % 2) client.close(code, `reason ${code}`)
    else socket.close(code, `reason ${code}`)
    for (const [got, reason] of (await closed) as unknown as [number, Buffer][])
      expect([got, String(reason)]).toEqual([code, `reason ${code}`])
  }
})

test('an end that breaks off is seen as that by the other', async () => {
  await using app = await echo()
  for (const breaks of ['client', 'app']) {
    const client = new WebSocket(app.url)
    const [[socket]] = (await Promise.all([once(app.server, 'connection'), once(client, 'open')])) as [
      [WebSocket],
      unknown,
    ]
    const [left, stays] = breaks === 'client' ? [client, socket] : [socket, client]
    const closed = once(stays, 'close')
    left.terminate()
    expect((await closed)[0]).toBe(1006)
  }
  await app.world.idle()
})

test('pings of either end are answered by the other', async () => {
  await using app = await echo()
  const client = new WebSocket(app.url)
  const [[socket]] = (await Promise.all([once(app.server, 'connection'), once(client, 'open')])) as [
    [WebSocket],
    unknown,
  ]
  for (const from of [client, socket]) {
    from.ping('are you there?')
    expect(String((await once(from, 'pong'))[0])).toBe('are you there?')
  }
})

test('the subprotocol is chosen by the app', async () => {
  await using app = await echo({ handleProtocols: (offered) => (offered.has('second') ? 'second' : false) })
  const client = new WebSocket(app.url, ['first', 'second'])
  await once(client, 'open')
  expect(client.protocol).toBe('second')
})

test('messages of many MB and of many fragments arrive whole', async () => {
  await using app = await echo()
  const client = new WebSocket(app.url)
  await once(client, 'open')
  const large = Buffer.alloc(12 * 1024 * 1024, 'abcdefg')
  expect((await answer(client, large)).equals(large)).toBe(true)
  for (let i = 0; i < 100; i++) client.send(`part ${i} `, { fin: i === 99 })
  expect(String((await once(client, 'message'))[0])).toBe(
    Array.from({ length: 100 }, (_, i) => `part ${i} `).join(''),
  )
})

test('hundreds of sockets at once each get their own messages, in order', async () => {
  await using app = await echo()
  const clients = Array.from({ length: 200 }, () => new WebSocket(app.url))
  await Promise.all(clients.map((client) => once(client, 'open')))
  expect(app.world.activator.stats('app')?.inFlight).toBe(200)
  const got = clients.map((client) => {
    const messages: string[] = []
    client.on('message', (data: Buffer) => messages.push(String(data)))
    return messages
  })
  clients.forEach((client, i) => {
    for (let n = 0; n < 10; n++) client.send(`${i}.${n}`)
  })
  await until(() => got.every((messages) => messages.length === 10))
  got.forEach((messages, i) => expect(messages).toEqual(Array.from({ length: 10 }, (_, n) => `${i}.${n}`)))
  for (const client of clients) client.close()
  await app.world.idle()
})
