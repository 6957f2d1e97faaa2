import { describe, expect, test } from 'vitest'
import { status } from './message.ts'
import { REFUSED, REFUSED_BODIES } from './refused.ts'
import { WireClosed } from './wire.ts'
import { rawWorld, until, type World } from './world.ts'

/** What came to the app: whole requests, and the bytes of one that was cut off. */
interface Seen {
  readonly whole: string[]
  cutOff: string
}

async function app(): Promise<World & { seen: Seen }> {
  const seen: Seen = { whole: [], cutOff: '' }
  const world = await rawWorld(async (wire) => {
    try {
      for (;;) {
        const { start, body } = await wire.message()
        seen.whole.push(`${start} ${body}`)
        wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
    } catch (error) {
      if (!(error instanceof WireClosed)) throw error
      seen.cutOff += wire.pending
    }
  })
  return Object.assign(world, { seen })
}

const GOOD = 'GET /good HTTP/1.1\r\nHost: a\r\n\r\n'
const SEEN_GOOD = 'GET /good HTTP/1.1 '

/** Leaves an open connection to the app, on which anything could be sent at once. */
async function warm(world: World): Promise<void> {
  const client = await world.client()
  expect(status(await client.send(GOOD).message())).toBe(200)
  await world.idle()
}

describe('a request with', () => {
  test.each(Object.entries(REFUSED))('%s is answered 400 and goes no further', async (_name, bytes) => {
    await using world = await app()
    await warm(world)
    const client = await world.client()
    const answer = await client.send(bytes).rest()
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    await world.idle()
    expect(world.seen).toEqual({ whole: [SEEN_GOOD], cutOff: '' })
    expect(world.connections).toHaveLength(1)
  })

  test.each(Object.entries(REFUSED_BODIES))('%s never ends as if it were whole', async (_name, bytes) => {
    await using world = await app()
    await warm(world)
    const client = await world.client()
    const answer = await client.send(bytes).rest()
    expect(answer).toMatch(/^(HTTP\/1\.1 400 |$)/)
    await world.idle()
    expect(world.seen.whole).toEqual([SEEN_GOOD])
  })

  test.each(Object.entries(REFUSED_BODIES))(
    '%s, the head first, never ends as if it were whole',
    async (_name, bytes) => {
      await using world = await app()
      const client = await world.client()
      const headEnd = bytes.indexOf('\r\n\r\n') + 4
      client.send(bytes.slice(0, headEnd))
      // The proxy has begun to send it on once its connection to the app is there.
      await until(() => world.connections.length === 1)
      const answer = await client.send(bytes.slice(headEnd)).rest()
      expect(answer).toMatch(/^(HTTP\/1\.1 400 |$)/)
      await world.idle()
      expect(world.seen.whole).toEqual([])
    },
  )
})

test('what is refused on a connection takes none of the requests before it along', async () => {
  await using world = await app()
  const client = await world.client()
  const first = await client.send(GOOD).message()
  expect(status(first)).toBe(200)
  expect(await client.send(REFUSED['Content-Length and Transfer-Encoding']!).rest()).toMatch(
    /^HTTP\/1\.1 400 /,
  )
  expect(world.seen.whole).toEqual([SEEN_GOOD])
  const next = await world.client()
  expect(status(await next.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n').message())).toBe(200)
})

test('a request inside the body of another stays a body', async () => {
  await using world = await app()
  const inner = 'GET /inner HTTP/1.1\r\nHost: a\r\n\r\n'
  const client = await world.client()
  client.send(`POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`)
  expect((await client.message()).body).toBe('ok')
  expect(world.seen.whole).toEqual([`POST /outer HTTP/1.1 ${inner}`])
})
