import { expect, test } from 'vitest'
import { all, status, type HeaderLine } from './message.ts'
import { upgradeRequest } from './websocket/frames.ts'
import { rawWorld, type World } from './world.ts'

/** A proxy whose own header is `x-request-id: ours`, before an app that gives this answer. */
async function start(answer: string): Promise<World & { seen: HeaderLine[] }> {
  const seen: HeaderLine[] = []
  const world = await rawWorld(
    async (wire) => {
      for (;;) {
        seen.push(...(await wire.message()).headers)
        wire.send(answer)
      }
    },
    { proxy: { ownHeaders: () => ({ 'x-request-id': 'ours' }) } },
  )
  return Object.assign(world, { seen })
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n'
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'

test.each([
  ['sends it', 'X-Request-ID: theirs\r\n'],
  ['sends it twice', 'X-Request-Id: theirs\r\nx-request-id: theirs\r\n'],
  ['names it in Connection', 'Connection: close, X-Request-Id\r\n'],
  ['does both', 'X-Request-Id: theirs\r\nConnection: x-request-id\r\n'],
  ['says nothing', ''],
])('a client that %s does not change what the app sees of a header of the front', async (_name, lines) => {
  await using world = await start(`${OK}\r\n`)
  const client = await world.client()
  await client.send(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`).message()
  expect(all(world.seen, 'x-request-id')).toEqual(['ours'])
})

test('nor does a client that asks for a WebSocket', async () => {
  await using world = await start(`${SWITCH}Connection: Upgrade\r\n\r\n`)
  const client = await world.client()
  await client
    .send(
      upgradeRequest('X-Request-Id: theirs\r\n').replace(
        'Connection: Upgrade',
        'Connection: Upgrade, x-request-id',
      ),
    )
    .message()
  expect(all(world.seen, 'x-request-id')).toEqual(['ours'])
})

test.each([
  ['sends it', `${OK}X-Request-ID: theirs\r\n\r\n`],
  ['sends it twice', `${OK}X-Request-ID: theirs\r\nx-request-id: theirs\r\n\r\n`],
  ['names it in Connection', `${OK}Connection: X-Request-Id\r\n\r\n`],
  ['sends it in an interim answer', `HTTP/1.1 103 Early\r\nX-Request-Id: theirs\r\n\r\n${OK}\r\n`],
  [
    'sends it as a trailer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Request-Id\r\n\r\n0\r\nX-Request-Id: theirs\r\nX-Sum: 1\r\n\r\n',
  ],
  ['says nothing', `${OK}\r\n`],
])('an app that %s does not change what the client sees of a header of the front', async (_name, bytes) => {
  await using world = await start(bytes)
  const client = await world.client()
  const answer = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
  expect(status(answer)).toBe(200)
  expect(all([...answer.headers, ...answer.trailers], 'x-request-id')).toEqual(['ours'])
  expect(all(answer.headers, 'connection').join()).not.toMatch(/x-request-id/i)
  if (bytes.includes('X-Sum')) expect(all(answer.trailers, 'x-sum')).toEqual(['1'])
})

test.each([
  ['upgrades', `${SWITCH}Connection: Upgrade\r\n`, 101],
  ['upgrades and names it in Connection', `${SWITCH}Connection: Upgrade, X-Request-Id\r\n`, 101],
  ['refuses', 'HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: X-Request-Id\r\n', 403],
])('nor does an app that %s', async (_name, head, expected) => {
  await using world = await start(`${head}X-Request-Id: theirs\r\n\r\n`)
  const client = await world.client()
  const answer = await client.send(upgradeRequest()).message()
  expect(status(answer)).toBe(expected)
  expect(all(answer.headers, 'x-request-id')).toEqual(['ours'])
  expect(all(answer.headers, 'connection').join()).not.toMatch(/x-request-id/i)
})
