import { expect, test } from 'vitest'
import { header, status, type Message } from './message.ts'
import { rawWorld, remembering, until, type World, type WorldOptions } from './world.ts'

const HEAD = 'POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'

const echo = ({ body }: Message): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`

const ASK = 'HTTP/1.1 100 Continue\r\n\r\n'

/** An app that asks for each body once `read` resolves, and answers with it. */
const asking = (read: Promise<unknown> = Promise.resolve(), options: WorldOptions = {}): Promise<World> =>
  rawWorld(async (wire) => {
    const head = await wire.until('\r\n\r\n')
    expect(head).toMatch(/\r\nexpect: 100-continue/i)
    await read
    const body = (await wire.send(ASK).take(5)).toString('latin1')
    wire.send(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n${body}`)
  }, options)

test('the body is asked for when the app asks for it, and not before', async () => {
  const read = Promise.withResolvers<void>()
  await using world = await asking(read.promise)
  const client = await world.client()
  client.send(HEAD)
  await until(() => world.connections.length === 1)
  // What an answer sent before would have had all the time to do.
  const other = await world.client()
  await other.send('BAD\r\n\r\n').rest()
  expect(client.pending).toBe('')
  read.resolve()
  expect((await client.message()).start).toBe('HTTP/1.1 100 Continue')
  expect((await client.send('hello').message()).body).toBe('hello')
  expect((await client.send(HEAD).message()).start).toBe('HTTP/1.1 100 Continue')
  expect((await client.send('again').message()).body).toBe('again')
})

test('an app that answers by the head alone is never sent a body, and the client is not asked for one', async () => {
  await using world = await rawWorld(async (wire) => {
    await wire.until('\r\n\r\n')
    wire.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno')
    expect(await wire.rest()).toBe('')
  })
  const client = await world.client()
  const answer = await client.send(HEAD).message()
  expect([answer.start, answer.body, header(answer, 'connection')]).toEqual([
    'HTTP/1.1 401 Unauthorized',
    'no',
    'close',
  ])
  expect(await client.rest()).toBe('')
  await world.idle()
})

test('the body is not asked for while the target wakes', async () => {
  await using world = await asking(undefined, { asleep: true })
  const client = await world.client()
  client.send(HEAD)
  await world.waking()
  const other = await world.client()
  await other.send('BAD\r\n\r\n').rest()
  expect(client.pending).toBe('')
  world.wake()
  expect((await client.message()).start).toBe('HTTP/1.1 100 Continue')
  expect((await client.send('hello').message()).body).toBe('hello')
})

test('the body of a request whose target cannot start is never asked for', async () => {
  await using world = await remembering(echo, { asleep: true })
  const client = await world.client()
  client.send(HEAD)
  await world.waking()
  world.driver.fail('app', { code: 'X', message: 'It does not start.' })
  const answer = await client.message()
  expect([status(answer), header(answer, 'connection')]).toEqual([502, 'close'])
  expect(await client.rest()).toBe('')
  expect(world.seen).toEqual([])
})

test('a client that does not wait for the 100 is served as well', async () => {
  await using world = await remembering(echo, { asleep: true })
  const client = await world.client()
  client.send(`${HEAD}hello`)
  await world.waking()
  world.wake()
  let answer = await client.message()
  if (status(answer) === 100) answer = await client.message()
  expect([status(answer), answer.body]).toEqual([200, 'hello'])
})

test('any other expectation is answered 417 and goes no further', async () => {
  await using world = await remembering(echo)
  const client = await world.client()
  const answer = await client.send(HEAD.replace('100-continue', 'the-impossible')).message()
  expect(status(answer)).toBe(417)
  expect(world.seen).toEqual([])
})

test('an HTTP/1.0 client, which knows no 100, gets none', async () => {
  await using world = await remembering(echo)
  const client = await world.client()
  const answer = await client.send(`${HEAD.replace('HTTP/1.1', 'HTTP/1.0')}hello`).message()
  expect([status(answer), answer.body]).toEqual([200, 'hello'])
})
