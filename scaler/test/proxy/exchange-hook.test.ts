import { expect, test } from 'vitest'
import { FakeClock } from '../../src/drivers/fake/index.ts'
import type { ExchangeRecord } from '../../src/http/index.ts'
import { answerFavicon } from '../../src/http/index.ts'
import { all, status } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, until, type RawApp, type World, type WorldOptions } from './world.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'
const UPGRADE =
  'GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

type Told = World & { readonly told: Omit<ExchangeRecord, 'request'>[] }

/** A world whose proxy tells of its exchanges. */
async function telling(app: RawApp, options: WorldOptions = {}): Promise<Told> {
  const told: Omit<ExchangeRecord, 'request'>[] = []
  const onExchange = ({ request, ...rest }: ExchangeRecord): void => {
    expect(request.headers.host).toBe('a')
    told.push(rest)
  }
  const world = await rawWorld(app, { ...options, proxy: { ...options.proxy, onExchange } })
  return Object.assign(world, { told })
}

const answering: RawApp = async (wire) => {
  for (;;) {
    await wire.message()
    wire.send(OK)
  }
}

test('each exchange is told of once, with its sizes and its times', async () => {
  const clock = new FakeClock()
  const wires: Wire[] = []
  await using world = await telling(
    async (wire) => {
      wires.push(wire)
      await wire.message()
    },
    { asleep: true, proxy: { clock } },
  )
  const client = await world.client()
  client.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello')
  await world.waking()
  await clock.advance(400)
  world.wake()
  client.send(' world')
  await until(() => wires.length === 1)
  await clock.advance(30)
  wires[0]!.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
  await client.until('abc')
  await clock.advance(7)
  wires[0]!.send('4\r\ndefg\r\n0\r\n\r\n')
  await client.until('0\r\n\r\n')
  await until(() => world.told.length > 0)
  await world.idle()
  expect(world.told).toEqual([
    {
      method: 'POST',
      key: 'app',
      endpoint: 'app-1',
      status: 200,
      bytesIn: 11,
      bytesOut: 7,
      waited: 400,
      firstByte: 430,
      duration: 437,
      mark: 'held',
      error: undefined,
    },
  ])
})

test('a warm request has not waited', async () => {
  await using world = await telling(answering, { proxy: { clock: new FakeClock() } })
  const client = await world.client()
  for (const path of ['/1', '/2']) await client.send(get(path)).message()
  await until(() => world.told.length === 2)
  expect(world.told[1]).toMatchObject({ mark: 'warm', waited: 0, bytesIn: 0, bytesOut: 5, status: 200 })
})

test('an app that closes the connection, or breaks off its response, is told of', async () => {
  await using world = await telling(async (wire) => {
    const { start } = await wire.message()
    if (start.includes('/half')) await wire.flush('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    wire.socket.end()
  })
  await (await world.client()).send(get('/half')).rest()
  await until(() => world.told.length === 1)
  expect(world.told[0]).toMatchObject({ status: 200, bytesOut: 5, error: 'RESPONSE_BROKEN', mark: 'warm' })
  const answer = await (await world.client()).send(get('/none')).message()
  await until(() => world.told.length === 2)
  expect(world.told[1]).toMatchObject({
    status: 502,
    bytesOut: answer.body.length,
    firstByte: undefined,
    error: 'SCALER_UPSTREAM_RESET',
  })
})

test('a client that leaves while it waits is told of, and has no status', async () => {
  await using world = await telling(answering, { asleep: true })
  const client = await world.client()
  client.send(get('/'))
  await world.waking()
  client.close()
  await until(() => world.told.length === 1)
  expect(world.told[0]).toMatchObject({ status: 0, endpoint: undefined, mark: 'held', error: 'CLIENT_GONE' })
})

test('what the proxy answers itself is told of with its mark, and what has no target without', async () => {
  await using world = await telling(answering, {
    asleep: true,
    proxy: {
      wakePolicies: [answerFavicon()],
      resolve(request) {
        if (request.url === '/unknown')
          throw Object.assign(new Error('none'), { code: 'NONE', statusCode: 404 })
        return 'app'
      },
    },
  })
  const client = await world.client()
  expect(status(await client.send(get('/favicon.ico')).message())).toBe(204)
  expect(status(await client.send(get('/unknown')).message())).toBe(404)
  await until(() => world.told.length === 2)
  expect(world.told).toMatchObject([
    { key: 'app', endpoint: undefined, mark: 'answered', status: 204, error: undefined },
    { key: undefined, endpoint: undefined, mark: undefined, status: 404, error: 'NONE' },
  ])
})

test('the limits that break off a response are told of', async () => {
  await using world = await telling(
    async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    },
    { proxy: { idleBodyTimeout: 50 } },
  )
  await (await world.client()).send(get('/')).rest()
  await until(() => world.told.length === 1)
  expect(world.told[0]).toMatchObject({ status: 200, error: 'SCALER_BODY_TIMEOUT' })
})

test('a WebSocket is told of when it is closed, with the bytes of both sides', async () => {
  await using world = await telling(async (wire) => {
    await wire.until('\r\n\r\n')
    wire.send(`${SWITCHED}first`)
    expect((await wire.take(10)).toString()).toBe('earlylater')
    await wire.flush('second')
    wire.socket.end()
  })
  const client = await world.client()
  client.send(`${UPGRADE}early`)
  await client.until('first')
  client.send('later')
  await client.rest()
  client.close()
  await until(() => world.told.length === 1)
  expect(world.told).toMatchObject([
    {
      method: 'GET',
      key: 'app',
      endpoint: 'app-1',
      status: 101,
      bytesIn: 10,
      bytesOut: 11,
      error: undefined,
    },
  ])
})

test('a WebSocket that is refused by the app or the proxy is told of with its status', async () => {
  await using world = await telling(async (wire) => {
    await wire.until('\r\n\r\n')
    if (world.told.length === 0) wire.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    else wire.send('nonsense\r\n\r\n')
  })
  for (const told of [1, 2]) {
    await (await world.client()).send(UPGRADE).rest()
    await until(() => world.told.length === told)
  }
  expect(world.told).toMatchObject([
    { status: 403, bytesOut: 2, error: undefined },
    { status: 502, error: 'SCALER_UPSTREAM_INVALID' },
  ])
})

test('headers that `onRequest` returns replace those of the client, for WebSockets too', async () => {
  const seen: string[][] = []
  await using world = await telling(
    async (wire) => {
      const head = await wire.message()
      seen.push(all(head.headers, 'traceparent'))
      wire.send(OK)
    },
    { proxy: { onRequest: ({ url }) => ({ traceparent: `of ${url}` }) } },
  )
  const mine = (request: string): string => request.replace('\r\n', '\r\nTraceparent: mine\r\n')
  await (await world.client()).send(mine(get('/a'))).message()
  await (await world.client()).send(mine(UPGRADE)).rest()
  expect(seen).toEqual([['of /a'], ['of /socket']])
})
