import { once } from 'node:events'
import { expect, test } from 'vitest'
import { header, status } from './message.ts'
import { rawWorld, until, type World } from './world.ts'

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`
const ok = (body: string, headers = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`

/** Answers each request with its path. */
const echoPath = (options: Parameters<typeof rawWorld>[1] = {}): Promise<World> =>
  rawWorld(async (wire) => {
    for (;;) wire.send(ok((await wire.message()).start.split(' ')[1]!))
  }, options)

test('requests one after another share the connection of their client and one to the app', async () => {
  await using world = await echoPath()
  const client = await world.client()
  for (const path of ['/1', '/2', '/3', '/4']) {
    expect((await client.send(get(path)).message()).body).toBe(path)
    await world.idle()
  }
  expect(world.connections).toHaveLength(1)
})

test('pipelined requests are answered in their order, whichever the app answers first', async () => {
  const answers = new Map<string, () => void>()
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      const path = (await wire.message()).start.split(' ')[1]!
      answers.set(path, () => wire.send(ok(path)))
    }
  })
  const client = await world.client()
  client.send(get('/1') + get('/2') + get('/3'))
  await until(() => answers.size === 3)
  for (const path of ['/3', '/2', '/1']) answers.get(path)!()
  const bodies = [await client.message(), await client.message(), await client.message()].map(
    ({ body }) => body,
  )
  expect(bodies).toEqual(['/1', '/2', '/3'])
})

test('pipelined requests to a sleeping target wake it once and are answered in order', async () => {
  await using world = await echoPath({ asleep: true })
  const client = await world.client()
  client.send(get('/1') + get('/2'))
  await world.waking()
  world.wake()
  expect([(await client.message()).body, (await client.message()).body]).toEqual(['/1', '/2'])
  expect(world.driver.calls).toEqual([{ key: 'app', replicas: 1 }])
})

test('Connection: close ends the connection of the client, not the one to the app', async () => {
  await using world = await echoPath()
  const client = await world.client()
  const answer = await client.send(get('/1', 'Connection: close\r\n')).message()
  expect(header(answer, 'connection')).toBe('close')
  expect(await client.rest()).toBe('')
  expect(client.finished).toBe(true)
  await world.idle()
  const next = await world.client()
  expect((await next.send(get('/2')).message()).body).toBe('/2')
  expect(world.connections).toHaveLength(1)
})

test('an app that closes after each answer does not cost its clients their connection', async () => {
  await using world = await rawWorld(async (wire) => {
    wire.send(ok((await wire.message()).start, 'Connection: close\r\n')).socket.end()
  })
  const client = await world.client()
  for (const path of ['/1', '/2', '/3']) {
    const answer = await client.send(get(path)).message()
    expect([status(answer), header(answer, 'connection')]).toEqual([200, 'keep-alive'])
  }
  expect(world.connections).toHaveLength(3)
})

test('a connection that the app has closed while idle is not used again', async () => {
  await using world = await echoPath()
  const client = await world.client()
  await client.send(get('/1')).message()
  await world.idle()
  const [first] = world.connections
  first!.end()
  await once(first!, 'close')
  expect((await client.send(get('/2')).message()).body).toBe('/2')
})

test('an HTTP/1.0 client gets an answer without chunks that ends with the connection', async () => {
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      await wire.message()
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n')
    }
  })
  const client = await world.client()
  const answer = await client.send('GET / HTTP/1.0\r\n\r\n').message()
  expect([status(answer), answer.framing, answer.body]).toEqual([200, 'close', 'hello world'])
})

test('an HTTP/1.0 client may keep its connection', async () => {
  await using world = await echoPath()
  const client = await world.client()
  for (const path of ['/1', '/2']) {
    const answer = await client.send(`GET ${path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`).message()
    expect([answer.body, header(answer, 'connection')]).toEqual([path, 'keep-alive'])
  }
})

test('an app that speaks HTTP/1.0 is understood', async () => {
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send('HTTP/1.0 200 Fine\r\nX-Old: yes\r\n\r\nuntil the end').socket.end()
  })
  const client = await world.client()
  for (const path of ['/1', '/2']) {
    const answer = await client.send(get(path)).message()
    expect([status(answer), header(answer, 'x-old'), answer.body]).toEqual([200, 'yes', 'until the end'])
  }
})

test('empty lines before a request are passed over', async () => {
  await using world = await echoPath()
  const client = await world.client()
  expect((await client.send(`\r\n\r\n${get('/1')}`).message()).body).toBe('/1')
})
