import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { pipeline } from 'node:stream'
import path from 'node:path'
import { promisify } from 'node:util'
import { BSON, MongoClient } from 'mongodb'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { OP_MSG, wireCommand, wireMessage } from '../../test/mongo-wire.ts'
import { loadConfig } from '../config.ts'
import { startRelay, type Relay, type RelayOptions } from './relay.ts'
import { socketHost } from './sockets.ts'

const runnerPath = path.resolve(import.meta.dirname, '../../../runner/src')
const cleanUp: (() => unknown)[] = []
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'fp-relay-test-'))
})
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
  await rm(dir, { recursive: true, force: true })
})

async function start(options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = await startRelay({
    python: loadConfig(process.env).python,
    runnerPath,
    upstream: inject('mongoSockets').apps,
    folder: path.join(dir, 'apps'),
    perApp: 10,
    total: 40,
    log: pino({ level: 'silent' }),
    ...options,
  })
  cleanUp.push(() => relay[Symbol.asyncDispose]())
  return relay
}

async function socketOf(relay: Relay, app: string): Promise<string> {
  return path.join(relay.folder, (await relay.open(app)).name)
}

/** A client like an app's, with the tests' root user. */
function clientAt(socket: string, options: object = {}): MongoClient {
  const login = /\/\/([^@]+)@/.exec(inject('mongoUri'))![1]
  const client = new MongoClient(
    `mongodb://${login}@${socketHost(socket)}/test_relay?authSource=admin&directConnection=true`,
    { serverSelectionTimeoutMS: 10_000, ...options },
  )
  cleanUp.push(() => client.close())
  return client
}

async function open(socket: string, count: number): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const connection = connect(socket)
      connection.on('error', () => undefined)
      cleanUp.push(() => connection.destroy())
      await once(connection, 'connect')
      return connection
    }),
  )
}

const HELLO = wireMessage(OP_MSG, wireCommand({ hello: 1, $db: 'admin' }))

/** The answer on a connection: `ok`, the text of an error, or that it was closed. */
async function greet(socket: Socket): Promise<string> {
  if (socket.destroyed) return 'closed'
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve('closed')))
  const answered = new Promise<string>((resolve) =>
    socket.once('data', (data) => {
      const answer = BSON.deserialize(data.subarray(21)) as { ok: number; errmsg?: string }
      resolve(answer.ok === 1 ? 'ok' : answer.errmsg!)
    }),
  )
  socket.write(HELLO)
  return Promise.race([answered, closed])
}

/** All bytes until the connection is closed, as text. */
async function untilClosed(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // Also after a reset, which happens if the peer closes before it has read everything.
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks).toString('latin1')
}

async function greetAll(sockets: readonly Socket[]): Promise<string[]> {
  return Promise.all(sockets.map(greet))
}

test('a flood of connections by one app affects neither other apps nor the platform; its owner is notified', async () => {
  const refused = Promise.withResolvers<{ app: string; count: number; open: number }>()
  const relay = await start({ onRefused: (app, { count, open }) => refused.resolve({ app, count, open }) })
  const flooder = await socketOf(relay, 'flooder')
  const answers = await greetAll(await open(flooder, 10))
  expect(answers).toEqual(Array.from({ length: 10 }, () => 'ok'))
  const tooMany = await greetAll(await open(flooder, 300))
  expect(tooMany).not.toContain('ok')
  expect(tooMany).toContainEqual(
    expect.stringMatching(/10 connections .* most it may have.*FP_DATABASE_CONNECTIONS/),
  )

  const neighbour = clientAt(await socketOf(relay, 'neighbour'))
  const notes = neighbour.db().collection('notes')
  await notes.insertOne({ n: 1 })
  expect(await notes.countDocuments({})).toBe(1)
  const platform = new MongoClient(inject('mongoUri'))
  cleanUp.push(() => platform.close())
  await platform.db('test_relay').dropDatabase()
  expect(await refused.promise).toMatchObject({ app: 'flooder', count: expect.any(Number), open: 10 })
})

test('no app can use up the sessions of all MongoDB users, and its owner is notified', async () => {
  const forbidden = Promise.withResolvers<{ app: string; reason: string }>()
  const relay = await start({ onForbidden: (app, { reason }) => forbidden.resolve({ app, reason }) })
  const socket = await socketOf(relay, 'flooder')
  const sessions = (count: number): object[] => Array.from({ length: count }, () => ({ id: new BSON.UUID() }))
  for (const command of [{ refreshSessions: sessions(10) }, { startSession: 1 }]) {
    await expect(clientAt(socket).db('admin').command(command)).rejects.toThrow(/is not allowed here/)
  }
  expect(await forbidden.promise).toMatchObject({
    app: 'flooder',
    reason: expect.stringMatching(/^refreshS/),
  })

  // Any command with a new session id begins a session.
  const flooder = clientAt(socket)
  await flooder.db().command({ ping: 1 })
  const command = (lsid: object): Buffer => wireMessage(OP_MSG, wireCommand({ hello: 1, lsid, $db: 'admin' }))
  const [first, late] = await open(socket, 2)
  first!.write(Buffer.concat(sessions(5_100).map(command)))
  await untilClosed(first!)
  late!.write(command(sessions(1)[0]!))
  expect(await untilClosed(late!)).toMatch(/5,000 database sessions within 60 s/)
  // Existing sessions still work, and so does another app.
  await expect(flooder.db().command({ ping: 1 })).resolves.toMatchObject({ ok: 1 })
  const neighbour = clientAt(await socketOf(relay, 'neighbour'))
  await expect(neighbour.db().command({ ping: 1 })).resolves.toMatchObject({ ok: 1 })
})

test('the driver shows the reason to the owner of the flooding app', async () => {
  const relay = await start()
  const socket = await socketOf(relay, 'app')
  await greetAll(await open(socket, 10))
  // Silent connections do not keep the reason from connections that send a command.
  await open(socket, 50)
  const client = clientAt(socket, { serverSelectionTimeoutMS: 500 })
  await expect(client.db().collection('a').findOne()).rejects.toThrow(
    /most it may have.*Make one MongoClient/,
  )
})

test('a MongoDB on a port of loopback is relayed too', async () => {
  const port = createServer((client) => {
    const mongodb = connect(inject('mongoSockets').apps)
    pipeline(client, mongodb, client, () => undefined)
  })
  await once(port.listen(0, '127.0.0.1'), 'listening')
  cleanUp.push(() => port.close())
  const relay = await start({ upstream: `127.0.0.1:${(port.address() as AddressInfo).port}` })
  const client = clientAt(await socketOf(relay, 'app'))
  await client.db().collection<{ _id: string }>('loopback').insertOne({ _id: 'one' })
  expect(await client.db().collection('loopback').countDocuments()).toBe(1)
  await client.db().dropCollection('loopback')
})

test('when all connections are taken, the app with the most loses its oldest', async () => {
  const relay = await start({ perApp: 10, total: 15 })
  const greedy = await open(await socketOf(relay, 'greedy'), 10)
  await greetAll(greedy)
  await greetAll(await open(await socketOf(relay, 'modest'), 5))
  const late = await open(await socketOf(relay, 'late'), 3)
  expect(await greetAll(late)).toEqual(['ok', 'ok', 'ok'])
  expect(await greetAll(greedy)).toEqual([
    ...Array.from({ length: 3 }, () => 'closed'),
    ...Array.from({ length: 7 }, () => 'ok'),
  ])
})

test('large documents pass completely in both directions at once, at the pace of the slower side', async () => {
  const relay = await start()
  const client = clientAt(await socketOf(relay, 'app'))
  const blobs = client.db().collection<{ _id: number; text: string }>('blobs')
  const text = 'x'.repeat(7_000_000)
  await Promise.all([1, 2, 3, 4].map((_id) => blobs.insertOne({ _id, text })))
  const found = await Promise.all([1, 2, 3, 4].map((_id) => blobs.findOne({ _id })))
  expect(found.map((each) => each!.text.length)).toEqual([1, 2, 3, 4].map(() => text.length))
  await client.db().dropDatabase()
})

test.each([
  ['an unfinished line', '{"event": "rea', 'exit 1', /exit code 1/],
  ['a line that is no JSON', 'nonsense\\n', 'exec cat', /SIGTERM/],
])('a relay that sends %s is started again', async (_, text, end, how) => {
  const [python, said] = [path.join(dir, 'python'), path.join(dir, 'said')]
  const real = loadConfig(process.env).python
  const script = `#!/bin/sh
[ -e ${said} ] && exec ${real} "$@"
touch ${said}
printf '${text}'
${end}
`
  await writeFile(python, script, { mode: 0o755 })
  await expect(start({ python })).rejects.toThrow(how)
  const relay = await start({ python })
  const before = relay.pid()
  await rm(said)
  process.kill(before, 'SIGKILL')
  await expect.poll(() => existsSync(said)).toBe(true)
  await expect
    .poll(async () =>
      clientAt(await socketOf(relay, 'a'))
        .db()
        .command({ ping: 1 }),
    )
    .toMatchObject({ ok: 1 })
})

test('a relay that is killed is restarted, and the next request of an app works', async () => {
  const relay = await start()
  const client = clientAt(await socketOf(relay, 'app'))
  await client.db().command({ ping: 1 })
  const before = relay.pid()
  process.kill(before, 'SIGKILL')
  await expect
    .poll(() =>
      client
        .db()
        .command({ ping: 1 })
        .catch(() => undefined),
    )
    .toMatchObject({ ok: 1 })
  expect(relay.pid()).not.toBe(before)
})

test('the socket of an app is closed once all its instances have ended', async () => {
  const relay = await start()
  const [first, second] = [await relay.open('app'), await relay.open('app')]
  expect(second.name).toBe(first.name)
  const [socket] = await open(path.join(relay.folder, first.name), 1)
  first.close()
  first.close()
  expect(await greet(socket!)).toBe('ok')
  second.close()
  await once(socket!, 'close')
})

test.runIf(process.getuid?.() === 0)('an app cannot find the socket of another one', async () => {
  const relay = await start()
  const { name } = await relay.open('app')
  const as = (command: string): Promise<unknown> =>
    promisify(execFile)('setpriv', ['--reuid=200001', '--clear-groups', 'sh', '-c', command])
  // As in its sandbox: only the folder and not its parents.
  await chmod(dir, 0o711)
  await expect(as(`ls ${relay.folder}`)).rejects.toThrow(/Permission denied/)
  await as(`test -w ${path.join(relay.folder, name)}`)
})
