import { describe, expect, test } from 'vitest'
import { rejectAsleep } from '../../../src/http/index.ts'
import { all, header, status } from '../message.ts'
import { rawWorld, until } from '../world.ts'
import { upgradeRequest } from './frames.ts'

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'

describe('an app that does not upgrade', () => {
  test.each([
    [
      'of known length',
      'HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 7\r\n\r\nnot you',
      'not you',
    ],
    [
      'in chunks',
      'HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n4\r\n you\r\n0\r\n\r\n',
      'not you',
    ],
    ['until the end', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\nnot you', 'not you'],
    ['without a body', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', ''],
    ['by 204', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
    ['by 200', 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nnot you', 'not you'],
  ])('has its answer passed on (%s)', async (_name, bytes, body) => {
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send(bytes).socket.end()
    })
    const client = await world.client()
    const answer = await client.send(upgradeRequest()).message()
    expect([answer.start, answer.body]).toEqual([bytes.split('\r\n')[0], body])
    expect(all(answer.headers, 'set-cookie')).toEqual(bytes.includes('Cookie') ? ['a=1', 'b=2'] : [])
    expect(all(answer.headers, 'connection')).toEqual(['close'])
    expect(await client.rest()).toBe('')
    await world.idle()
  })

  test.each([
    ['closes the connection', ''],
    ['is no HTTP server', 'what?\r\n\r\n'],
    ['sends headers of 64 KB', `${SWITCH}X-Large: ${'x'.repeat(64 * 1024)}\r\n\r\n`],
    ['ends amid its head', 'HTTP/1.1 101 Swit'],
    ['switches to another protocol', `${SWITCH.replace('websocket', 'h2c')}\r\nframes`],
    ['switches to several', `${SWITCH.replace('websocket', 'websocket, h2c')}\r\nframes`],
    ['switches to no protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nframes'],
    ['switches without a Connection header', `${SWITCH.replace('Connection: Upgrade', 'X: y')}\r\nframes`],
    ['answers with 600', 'HTTP/1.1 600 What\r\nContent-Length: 2\r\n\r\nno'],
    ['answers with 999', 'HTTP/1.1 999 What\r\n\r\nno'],
    ['gives two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc'],
    [
      'gives a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('because it %s: the client gets one 502', async (_name, bytes) => {
    let calls = 0
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      calls++
      wire.send(bytes).socket.end()
    })
    const client = await world.client()
    const answer = await client.send(upgradeRequest()).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 502 /)
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
    await world.idle()
    expect(calls).toBe(1)
  })

  const INNER = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ninner'
  test.each([
    ['a 204 with a length and a body', `HTTP/1.1 204 No\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`],
    ['a 204 with chunks', `HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ['a 304 with a body', `HTTP/1.1 304 No\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`],
    ['more than it announced', `HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno${INNER}`],
    ['interim answers first', `HTTP/1.1 103 A\r\nX: y\r\n\r\nHTTP/1.1 199 B\r\n\r\nHTTP/1.1 403 No\r\n\r\n`],
  ])('by %s: the client gets one answer, and then the connection ends', async (_name, bytes) => {
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send(bytes).socket.end()
    })
    const client = await world.client()
    // A second request that waits behind the first must never be answered with bytes of the app's choice.
    const answer = await client.send(`${upgradeRequest()}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 (204|304|403) No\r\n/)
    expect(answer).toMatch(/\r\nConnection: close\r\n/)
    expect(answer).not.toMatch(/inner|199|103|transfer-encoding/i)
    if (answer.includes(' 204 ')) expect(answer).not.toMatch(/content-length/i)
    await world.idle()
  })

  test('because it never answers: the client gets a 504', async () => {
    let ended = false
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        await wire.rest()
        ended = true
      },
      { proxy: { responseTimeout: 50 } },
    )
    const client = await world.client()
    expect(await client.send(upgradeRequest()).rest()).toMatch(/^HTTP\/1\.1 504 /)
    await until(() => ended)
    await world.idle()
  })

  test('because it is in the middle of its answer when it dies: the client sees that it is cut off', async () => {
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nnot y').socket.end()
    })
    const client = await world.client()
    expect(await client.send(upgradeRequest()).rest()).toMatch(/Content-Length: 100\r\n[^]*\r\n\r\nnot y$/i)
    await world.idle()
  })

  test('and goes on and on stops when the client leaves', async () => {
    let ended = false
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      await wire.rest()
      ended = true
    })
    const client = await world.client()
    await client.send(upgradeRequest()).until('hello')
    client.reset()
    await until(() => ended)
    await world.idle()
  })
})

test('a WebSocket that cannot be opened gets the answer of the error handler, with the headers of the error', async () => {
  await using world = await rawWorld(async () => undefined, {
    asleep: true,
    proxy: { wakePolicies: [rejectAsleep({ retryAfter: 7 })] },
  })
  const client = await world.client()
  const answer = await client.send(upgradeRequest()).message()
  expect(await client.rest()).toBe('')
  expect([status(answer), JSON.parse(answer.body)]).toEqual([503, { code: 'SCALER_ASLEEP' }])
  const headers = ['retry-after', 'x-scaler-wake', 'connection'].map((name) => header(answer, name))
  expect(headers).toEqual(['7', 'rejected', 'close'])
})
