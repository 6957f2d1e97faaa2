import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { ResolveTarget } from '../../../src/http/index.ts'
import { all, header, status, type Message } from '../message.ts'
import { Wire } from '../wire.ts'
import { rawWorld, whileTimePasses } from '../world.ts'
import { upgradeRequest } from './frames.ts'

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** An app that accepts every upgrade and sends back what comes. */
async function echo(wire: Wire): Promise<void> {
  await wire.message()
  wire.send(`${SWITCH}\r\n`)
  wire.send(wire.pending)
  wire.socket.pipe(wire.socket)
}

describe.each([
  ['awake', false],
  ['asleep at first', true],
])('an upgrade to a target that is %s', (_name, asleep) => {
  test('loses none of the bytes that came with the request or with the answer', async () => {
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send(`${SWITCH}\r\nhello from the app`)
        wire.send(await wire.take(21))
        await wire.rest()
        wire.close()
      },
      { asleep },
    )
    const client = await world.client()
    client.send(`${upgradeRequest()}hello from the client`)
    if (asleep) {
      await world.waking()
      world.wake()
    }
    const head = await client.until('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 101 /)
    expect(head).toContain(`x-scaler-wake: ${asleep ? 'held' : 'warm'}`)
    expect(String(await client.take(39))).toBe('hello from the apphello from the client')
    client.close()
    await world.idle()
  })
})

test('an upgrade keeps its headers, and tells the app where it came from', async () => {
  let lines: readonly (readonly [string, string])[] = []
  await using world = await rawWorld(async (wire) => {
    lines = (await wire.message()).headers
    wire.send(
      `${SWITCH}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x-own; a=1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: caf\xe9\r\n\r\n`,
    )
  })
  const client = await world.client()
  client.send(
    upgradeRequest(
      'Origin: http://o\r\nCookie: a=1; b=2\r\nSec-WebSocket-Protocol: chat, other\r\nSec-WebSocket-Extensions: x-own; a\r\nX-Latin: caf\xe9\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nProxy-Authorization: x\r\nKeep-Alive: 5\r\n',
      '/a//b/../c?d=%20',
    ),
  )
  const answer = await client.message()
  const given = { start: '', headers: lines, body: '', framing: 'none', trailers: [] } as const
  expect(header(given, 'host')).toBe('a')
  expect(header(given, 'connection')?.toLowerCase()).toBe('upgrade')
  expect(header(given, 'upgrade')).toBe('websocket')
  expect(header(given, 'sec-websocket-protocol')).toBe('chat, other')
  expect(header(given, 'sec-websocket-extensions')).toBe('x-own; a')
  expect(header(given, 'cookie')).toBe('a=1; b=2')
  expect(header(given, 'x-latin')).toBe('caf\xe9')
  expect(all(lines, 'x-forwarded-for')).toEqual(['127.0.0.1'])
  expect(header(given, 'x-forwarded-proto')).toBe('http')
  for (const dropped of ['forwarded', 'x-real-ip', 'proxy-authorization', 'keep-alive'])
    expect(header(given, dropped)).toBeUndefined()

  expect(answer.start).toBe('HTTP/1.1 101 Switching Protocols')
  expect(header(answer, 'sec-websocket-protocol')).toBe('chat')
  expect(header(answer, 'sec-websocket-extensions')).toBe('x-own; a=1')
  expect(all(answer.headers, 'set-cookie')).toEqual(['a=1', 'b=2'])
  expect(header(answer, 'x-latin')).toBe('caf\xe9')
})

test('the path of an upgrade goes through as it is', async () => {
  const seen: string[] = []
  await using world = await rawWorld(async (wire) => {
    seen.push((await wire.message()).start)
    wire.send(`${SWITCH}\r\n`)
  })
  for (const path of ['/a//b/../c?d=%20', '/%2e%2e', '//', '/?']) {
    const client = await world.client()
    await client.send(upgradeRequest('', path)).message()
  }
  expect(seen).toEqual([
    'GET /a//b/../c?d=%20 HTTP/1.1',
    'GET /%2e%2e HTTP/1.1',
    'GET // HTTP/1.1',
    'GET /? HTTP/1.1',
  ])
})

test('the host of an absolute target counts before the Host header', async () => {
  const seen: Message[] = []
  const asked: (string | undefined)[] = []
  const resolve: ResolveTarget = ({ headers }) => {
    asked.push(headers.host)
    return 'app'
  }
  await using world = await rawWorld(
    async (wire) => {
      seen.push(await wire.message())
      wire.send(`${SWITCH}\r\n`)
    },
    { proxy: { resolve } },
  )
  const client = await world.client()
  expect(status(await client.send(upgradeRequest('', 'http://other:81/x?y')).message())).toBe(101)
  expect(asked).toEqual(['other:81'])
  expect([seen[0]!.start, header(seen[0]!, 'host')]).toEqual(['GET /x?y HTTP/1.1', 'other:81'])
})

test('a refused connection is tried again elsewhere', async () => {
  await using world = await rawWorld(echo, { asleep: true })
  world.driver.emit('app', { ready: [{ id: 'gone', url: new URL(`unix:${world.appPath}.gone`) }] })
  world.driver.onScale = ({ replicas }) => {
    if (replicas > 0) world.wake()
  }
  const client = await world.client()
  world.driver.onProbe = ({ id }) => id !== 'gone'
  const answer = client.send(`${upgradeRequest()}hello`).message()
  expect(status(await whileTimePasses(world, answer))).toBe(101)
  expect(String(await client.take(5))).toBe('hello')
})

describe('what is no upgrade to WebSocket', () => {
  const request = (lines: string, start = 'GET / HTTP/1.1'): string => `${start}\r\nHost: a\r\n${lines}\r\n`
  test.each([
    [
      'h2c',
      request(
        'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n',
      ),
    ],
    ['h2c alone', request('Connection: Upgrade\r\nUpgrade: h2c\r\n')],
    ['h2', request('Connection: Upgrade\r\nUpgrade: h2\r\n')],
    ['TLS', request('Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n')],
    ['something else', request('Connection: Upgrade\r\nUpgrade: foo/2\r\n')],
    ['one of a list', request('Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n')],
    ['one of two headers', request('Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n')],
    ['nearly WebSocket', request('Connection: Upgrade\r\nUpgrade: websocket2\r\n')],
    ['not named in Connection', request('Upgrade: websocket\r\n')],
    ['of HTTP/1.0', request('Connection: Upgrade\r\nUpgrade: websocket\r\n', 'GET / HTTP/1.0')],
    [
      'by POST',
      request('Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n', 'POST / HTTP/1.1'),
    ],
  ])('(%s) is an ordinary request, without the header', async (_name, bytes) => {
    const seen: string[] = []
    await using world = await rawWorld(async (wire) => {
      const { headers } = await wire.message()
      for (const name of ['upgrade', 'http2-settings', 'connection']) seen.push(...all(headers, name))
      wire.send(OK)
    })
    const client = await world.client()
    const answer = await client.send(bytes).message()
    expect([status(answer), answer.body]).toEqual([200, 'ok'])
    expect(seen.join()).not.toMatch(/upgrade|websocket|h2|settings/i)
    await world.idle()
  })

  test.each([
    ['length', 'Content-Length: 5\r\n', 'hello'],
    ['chunks', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'],
  ])('because it has a body (%s) keeps it', async (_name, line, body) => {
    const seen: string[] = []
    await using world = await rawWorld(async (wire) => {
      for (;;) {
        const request = await wire.message()
        seen.push(`${header(request, 'upgrade')} ${request.body}`)
        wire.send(OK)
      }
    })
    const client = await world.client()
    client.send(upgradeRequest(line) + body)
    expect(status(await client.message())).toBe(200)
    expect(seen).toEqual(['undefined hello'])
  })

  test('is answered and leaves the connection as it was', async () => {
    await using world = await rawWorld(async (wire) => {
      for (;;) {
        await wire.message()
        wire.send(OK)
      }
    })
    const client = await world.client()
    for (let i = 0; i < 3; i++) {
      client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
      expect(status(await client.message())).toBe(200)
    }
  })
})

test.each([
  ['two Hosts', upgradeRequest('Host: b\r\n')],
  ['a Host that is none', upgradeRequest().replace('Host: a', 'Host: a/b')],
  ['no Host', upgradeRequest().replace('Host: a\r\n', '')],
  ['a target of another scheme', upgradeRequest('', 'ftp://other/x')],
  ['a fragment in its target', upgradeRequest('', '/#x')],
])('an upgrade with %s is answered 400 and goes no further', async (_name, bytes) => {
  await using world = await rawWorld(echo)
  const client = await world.client()
  const answer = await client.send(bytes).rest()
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(world.connections).toHaveLength(0)
  await world.idle()
})

// A server that hands its connections over decides for itself what it takes for an upgrade.
test('what another server has taken for an upgrade is refused all the same, unless it is one to WebSocket', async () => {
  await using world = await rawWorld(echo)
  const front = createServer().listen(0, '127.0.0.1')
  front.on('upgrade', (...given) => world.proxy.server.emit('upgrade', ...given))
  await once(front, 'listening')
  const { port } = front.address() as AddressInfo
  for (const [lines, expected] of [
    ['Upgrade: h2c', 400],
    ['Upgrade: websocket\r\nContent-Length: 5', 400],
    ['Upgrade: websocket', 101],
  ] as const) {
    const client = await Wire.to(port)
    const answer = await client
      .send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n${lines}\r\n\r\n`)
      .message()
    expect(status(answer)).toBe(expected)
    client.close()
  }
  expect(world.connections).toHaveLength(1)
  front.close()
})

test('an upgrade after other requests on the same connection is one like any other', async () => {
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      if (header(await wire.message(), 'upgrade')) break
      wire.send(OK)
    }
    wire.send(`${SWITCH}\r\n`)
    wire.send(await wire.take(5))
  })
  const client = await world.client()
  for (let i = 0; i < 2; i++)
    expect(status(await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(200)
  expect(status(await client.send(`${upgradeRequest()}hello`).message())).toBe(101)
  expect(String(await client.take(5))).toBe('hello')
})
