import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../src/activator.ts'
import { FakeClock } from '../../src/drivers/fake/index.ts'
import { header, status } from './message.ts'
import { rawWorld, until } from './world.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const UPGRADE =
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const DAY = 24 * 60 * 60_000
const codeOf = ({ body }: { body: string }): string => (JSON.parse(body) as { code: string }).code

/** An app that reads requests and never answers. */
const silent = (started: { requests: number }) => async (wire: { message(): Promise<unknown> }) => {
  for (;;) {
    await wire.message()
    started.requests++
  }
}

describe('the total, `requestTimeout`,', () => {
  test('ends a request that waits for a wake, which goes on', async () => {
    const clock = new FakeClock()
    await using world = await rawWorld(silent({ requests: 0 }), {
      asleep: true,
      proxy: { clock, requestTimeout: 5_000 },
    })
    const client = await world.client()
    client.send(GET)
    await world.waking()
    await clock.advance(5_000)
    const answer = await client.message()
    expect([status(answer), codeOf(answer)]).toEqual([504, 'SCALER_REQUEST_TIMEOUT'])
    expect(world.activator.stats('app')).toMatchObject({ phase: 'waking', queued: 0 })
    expect(clock.pending).toBe(0)
  })

  test('ends a request that the app does not answer, closes its connection, and is no fault of the endpoint', async () => {
    const clock = new FakeClock()
    const app = { requests: 0 }
    await using world = await rawWorld(silent(app), { proxy: { clock, requestTimeout: 5_000 } })
    const client = await world.client()
    client.send(GET)
    await until(() => app.requests === 1)
    await clock.advance(5_000)
    const answer = await client.message()
    expect([status(answer), codeOf(answer)]).toEqual([504, 'SCALER_REQUEST_TIMEOUT'])
    await until(() => world.connections[0]!.readableEnded || world.connections[0]!.destroyed)
    await world.idle()
    expect(world.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1 })
    // The connection of the client can be used again.
    client.send(GET)
    await until(() => app.requests === 2)
  })

  test('breaks off a response that has begun', async () => {
    const clock = new FakeClock()
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
      },
      { proxy: { clock, requestTimeout: 5_000 } },
    )
    const client = await world.client()
    expect(await client.send(GET).until('hello')).toContain('200 OK')
    await clock.advance(5_000)
    expect(await client.rest()).toBe('')
    await world.idle()
  })

  test('leaves no timer after a response', async () => {
    const clock = new FakeClock()
    await using world = await rawWorld(
      async (wire) => {
        for (;;) {
          await wire.message()
          wire.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        }
      },
      { proxy: { clock, requestTimeout: 5_000 } },
    )
    expect(status(await (await world.client()).send(GET).message())).toBe(200)
    await until(() => clock.pending === 0)
  })

  test('ends a WebSocket that is not opened', async () => {
    const clock = new FakeClock()
    await using world = await rawWorld(silent({ requests: 0 }), {
      proxy: { clock, requestTimeout: 5_000 },
    })
    const client = await world.client()
    client.send(UPGRADE)
    await until(() => world.activator.stats('app')?.inFlight === 1)
    await clock.advance(5_000)
    expect(JSON.parse((await client.message()).body)).toEqual({ code: 'SCALER_REQUEST_TIMEOUT' })
    await world.idle()
  })
})

test('each limit of a request is that of `limits`, then that of the proxy, and its error says which one was reached', async () => {
  const clock = new FakeClock()
  await using world = await rawWorld(silent({ requests: 0 }), {
    policy: { ...DEFAULT_POLICY, concurrency: 1 },
    proxy: {
      clock,
      responseTimeout: DAY,
      limits: (key, { url }) => {
        expect(key).toBe('app')
        if (url === '/slow') return {}
        return url === '/queue' ? { queueTimeout: 1_000 } : { responseTimeout: 50 }
      },
    },
  })
  const send = async (path: string) =>
    (await world.client()).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).message()
  const late = await send('/late')
  expect([status(late), codeOf(late)]).toEqual([504, 'SCALER_UPSTREAM_TIMEOUT'])
  await world.idle()
  send('/slow').catch(() => undefined)
  await until(() => world.activator.stats('app')?.inFlight === 1)
  const queued = send('/queue')
  await until(() => world.activator.stats('app')?.queued === 1)
  await world.clock.advance(1_000)
  const answer = await queued
  expect([status(answer), codeOf(answer)]).toEqual([503, 'SCALER_QUEUE_TIMEOUT'])
  expect(header(answer, 'retry-after')).toBe('1')
})

test('a limit that is not a number of ms is named', async () => {
  await expect(rawWorld(async () => undefined, { proxy: { requestTimeout: -1 } })).rejects.toThrow(
    'requestTimeout must be from 0 to 2147483647 ms, but is -1.',
  )
  await using world = await rawWorld(async () => undefined, {
    proxy: { limits: () => ({ responseTimeout: NaN }) },
  })
  const answer = await (await world.client()).send(GET).message()
  expect([status(answer), codeOf(answer)]).toEqual([500, expect.stringContaining('responseTimeout')])
})

test('with `upstreamKeepAlive: 0` each request has its own connection', async () => {
  await using world = await rawWorld(
    async (wire) => {
      for (;;) {
        await wire.message()
        wire.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      }
    },
    { proxy: { limits: () => ({ upstreamKeepAlive: 0 }) } },
  )
  const client = await world.client()
  for (const _turn of [1, 2]) expect(status(await client.send(GET).message())).toBe(200)
  expect(world.connections).toHaveLength(2)
})
