import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { status } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, until, type World } from './world.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const POST = 'POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'
const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** How an app leaves a connection whose first request it has answered, when the second one arrives. */
const LEAVINGS: readonly (readonly [string, (wire: Wire) => void])[] = [
  ['closes it', (wire) => void wire.socket.end()],
  ['resets it', (wire) => wire.reset()],
]

interface LeavingWorld extends World {
  /** Paths of all requests that the app has received. */
  readonly paths: string[]
}

/** An app that answers the first request of each connection, and leaves at the second. With `always` it leaves at the first too. */
async function leavingApp(leave: (wire: Wire) => void, always = (): boolean => false): Promise<LeavingWorld> {
  const paths: string[] = []
  const world = await rawWorld(
    async (wire) => {
      for (let n = 1; ; n++) {
        const path = (await wire.message()).start.split(' ')[1]!
        paths.push(path)
        if (n > 1 || always()) return leave(wire)
        wire.send(ok(path))
      }
    },
    { tcp: true },
  )
  return Object.assign(world, { paths })
}

describe.each(LEAVINGS)('on a connection that was used before, an app that %s', (_name, leave) => {
  test('before any byte of the response gets an idempotent request again, on a new connection', async () => {
    await using world = await leavingApp(leave)
    const client = await world.client()
    for (const path of ['/1', '/2']) {
      const answer = await client.send(get(path)).message()
      expect([status(answer), answer.body]).toEqual([200, path])
      await world.idle()
    }
    expect(world.paths).toEqual(['/1', '/2', '/2'])
    expect(world.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1 })
  })

  test('gets other requests once only, and stays awake', async () => {
    await using world = await leavingApp(leave)
    const client = await world.client()
    await client.send(get('/1')).message()
    await world.idle()
    const answer = await client.send(POST).message()
    expect([status(answer), JSON.parse(answer.body)]).toEqual([502, { code: 'SCALER_UPSTREAM_RESET' }])
    await world.idle()
    expect(world.paths).toEqual(['/1', '/3'])
    expect(world.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1 })
    expect(world.driver.calls).toEqual([])
  })

  test('and does so again on the new connection gets the request no third time', async () => {
    let always = false
    await using world = await leavingApp(leave, () => always)
    const client = await world.client()
    await client.send(get('/1')).message()
    await world.idle()
    always = true
    const answer = await client.send(get('/2')).message()
    expect([status(answer), JSON.parse(answer.body)]).toEqual([502, { code: 'SCALER_UPSTREAM_RESET' }])
    expect(world.paths).toEqual(['/1', '/2', '/2'])
  })
})

/** An app that answers each request with its path. */
const echoing = (options: Parameters<typeof rawWorld>[1], headers = ''): Promise<World> =>
  rawWorld(async (wire) => {
    for (;;) {
      const [, path] = (await wire.message()).start.split(' ')
      wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${path!.length}\r\n${headers}\r\n${path}`)
    }
  }, options)

/** Sends a GET and then this request, for which `leave` is called when it is resolved: the proxy cannot know of it. */
async function sendLeft(request: string, leave: (world: World) => void): Promise<number> {
  await using world: World = await echoing({
    tcp: true,
    proxy: {
      async resolve({ url }) {
        if (url === '/1') return 'app'
        await setImmediate()
        leave(world)
        return 'app'
      },
    },
  })
  const client = await world.client()
  await client.send(get('/1')).message()
  await world.idle()
  const code = status(await client.send(request).message())
  await world.idle()
  expect(world.connections).toHaveLength(2)
  expect(world.activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1 })
  return code
}

test.each([
  ['closed', (world: World) => world.connections[0]!.destroy()],
  ['reset', (world: World) => world.connections[0]!.resetAndDestroy()],
])('a POST that was not sent because its connection was %s goes out on a new one', async (_name, leave) => {
  expect(await sendLeft(POST, leave)).toBe(200)
  expect(await sendLeft('POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', leave)).toBe(200)
})

test('a POST without a body that could not be written goes out on a new connection', async () => {
  // After the lease it is too late for the proxy to notice before it writes.
  await using world: World = await echoing({
    tcp: true,
    proxy: { onLease: ({ url }) => void (url === '/3' && world.connections[0]!.resetAndDestroy()) },
  })
  const client = await world.client()
  await client.send(get('/1')).message()
  await world.idle()
  const answer = await client.send('POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n').message()
  expect(status(answer)).toBe(200)
  expect(world.connections).toHaveLength(2)
})

test('a request that an app does not answer in time is not sent again', async () => {
  const paths: string[] = []
  await using world = await rawWorld(
    async (wire) => {
      for (;;) {
        const [, path] = (await wire.message()).start.split(' ')
        paths.push(path!)
        if (path === '/1') wire.send(ok(path))
      }
    },
    { proxy: { responseTimeout: 50 } },
  )
  const client = await world.client()
  await client.send(get('/1')).message()
  await world.idle()
  expect(status(await client.send(get('/2')).message())).toBe(504)
  expect(paths).toEqual(['/1', '/2'])
})

test.each([
  ['timeout=1', 2],
  ['timeout=5', 1],
])(
  'an app that announces `Keep-Alive: %s` gets two requests on %i connections',
  async (value, connections) => {
    await using world = await echoing({}, `Keep-Alive: ${value}\r\n`)
    const client = await world.client()
    for (const path of ['/1', '/2']) {
      expect((await client.send(get(path)).message()).body).toBe(path)
      await world.idle()
    }
    expect(world.connections).toHaveLength(connections)
  },
)

test('connections without requests are closed after `upstreamKeepAlive`, before those of the default', async () => {
  await using short = await echoing({ proxy: { upstreamKeepAlive: 100 } })
  await using usual = await echoing({})
  for (const world of [usual, short]) {
    await (await world.client()).send(get('/1')).message()
    await world.idle()
  }
  await until(() => short.connections[0]!.readableEnded)
  expect(usual.connections[0]!.readableEnded).toBe(false)
})

test('a request is not sent again once a byte of its response has arrived', async () => {
  let requests = 0
  await using world = await rawWorld(
    async (wire) => {
      await wire.message()
      requests++
      wire.send(ok('first'))
      await wire.message()
      requests++
      await wire.flush('H')
      wire.socket.end()
    },
    { tcp: true },
  )
  const client = await world.client()
  await client.send(get('/1')).message()
  await world.idle()
  expect(status(await client.send(get('/2')).message())).toBe(502)
  expect(requests).toBe(2)
})
