import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { MongoClient } from 'mongodb'
import { afterEach, expect, inject, test } from 'vitest'
import { freePort } from '../../test/free-port.ts'
import { loadConfig } from '../config.ts'

const runnerPath = path.resolve(import.meta.dirname, '../../../runner/src')
const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

interface PortRelay {
  readonly port: number
  readonly said: object[]
  stop(): Promise<number | null>
}

/** The relay as in MongoDB's pod in a cluster. The test's MongoDB is on a socket, which the relay accepts too. */
async function start({ perAddress = 10, total = 40 } = {}): Promise<PortRelay> {
  const port = await freePort()
  const relay = spawn(
    loadConfig(process.env).python,
    ['-s', '-P', '-m', 'fp_runner.relay.port', String(port), inject('mongoSockets').apps, String(total)],
    {
      env: { PYTHONPATH: runnerPath, PATH: '/usr/bin:/bin', FP_DATABASE_CONNECTIONS: String(perAddress) },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const ended = once(relay, 'exit').then(([code]) => code as number | null)
  const stop = (): Promise<number | null> => {
    relay.kill('SIGTERM')
    return ended
  }
  cleanUp.push(stop)
  const said: object[] = []
  const lines = createInterface({ input: relay.stdout })
  lines.on('line', (line) => said.push(JSON.parse(line) as object))
  await once(lines, 'line')
  return { port, said, stop }
}

/** A client of a pod, which has an address of its own. */
function clientFrom(localAddress: string, { port }: PortRelay, options: object = {}): MongoClient {
  const login = /\/\/([^@]+)@/.exec(inject('mongoUri'))![1]
  const uri = `mongodb://${login}@127.0.0.1:${port}/test_relay_port?authSource=admin&directConnection=true`
  const client = new MongoClient(uri, { localAddress, serverSelectionTimeoutMS: 10_000, ...options })
  cleanUp.push(() => client.close())
  return client
}

/** Holds so many connections of a pool at once. */
function busy(client: MongoClient, count: number): Promise<unknown> {
  const wait = { aggregate: 1, pipeline: [{ $currentOp: {} }], cursor: {} }
  return Promise.all(Array.from({ length: count }, () => client.db('admin').command(wait)))
}

test('the connections of each address are limited separately', async () => {
  const relay = await start({ perAddress: 10 })
  const greedy = clientFrom('127.0.0.2', relay, {
    minPoolSize: 30,
    maxPoolSize: 30,
    waitQueueTimeoutMS: 5_000,
  })
  // The connections that it has still work.
  await greedy.db().command({ ping: 1 })
  await expect
    .poll(() => relay.said, { timeout: 20_000 })
    .toContainEqual({
      event: 'refused',
      app: '127.0.0.2',
      count: expect.any(Number) as number,
      open: 10,
    })
  const other = clientFrom('127.0.0.3', relay)
  await busy(other, 5)
  expect(relay.said.filter((one) => 'app' in one && one.app === '127.0.0.3')).toEqual([])
})

test('when all connections are taken, the address with the most loses one', async () => {
  const relay = await start({ perAddress: 20, total: 20 })
  const first = clientFrom('127.0.0.2', relay, { minPoolSize: 17, maxPoolSize: 17 })
  await busy(first, 17)
  const second = clientFrom('127.0.0.3', relay)
  await busy(second, 3)
  await first.db().command({ ping: 1 })
})

test('ends at SIGTERM', async () => {
  const relay = await start()
  await clientFrom('127.0.0.2', relay).db().command({ ping: 1 })
  expect(await relay.stop()).toBe(0)
})
