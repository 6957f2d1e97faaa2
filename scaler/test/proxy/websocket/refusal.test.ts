import { describe, expect, test } from 'vitest'
import { all } from '../message.ts'
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
