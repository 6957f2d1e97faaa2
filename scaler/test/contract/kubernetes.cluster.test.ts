import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TargetKey } from '../../src/types.ts'
import { clusterWorld, PORT } from '../cluster.ts'
import { describeDriverContract, type DriverUnderTest } from './driver-contract.ts'
import { answers, get } from './http.ts'
import { until } from './processes.ts'

/** Asks the doorman whether it may start, waits for the word, and ends when it is told to. */
const SCRIPT = `
  const { get, createServer } = require('node:http')
  get(process.env.DOORMAN, (word) => {
    if (word.statusCode !== 200) process.exit(3)
    const server = createServer((request, response) => {
      if (request.url === '/crash') process.exit(1)
      response.end('hello')
    }).listen(${PORT})
    process.once('SIGTERM', () => server.close(() => process.exit(0)))
  }).on('error', () => process.exit(4))
`

async function start(): Promise<DriverUnderTest> {
  const held = new Map<TargetKey, { asked: PromiseWithResolvers<void>; opened: PromiseWithResolvers<void> }>()
  const broken = new Set<TargetKey>()
  const doorman = createServer((request, response) => {
    const key = request.url!.slice(1)
    const gate = held.get(key)
    gate?.asked.resolve()
    void (gate?.opened.promise ?? Promise.resolve()).then(() =>
      response.writeHead(broken.has(key) ? 500 : 200).end(),
    )
  }).listen(0)
  await once(doorman, 'listening')
  const { port } = doorman.address() as AddressInfo

  const world = await clusterWorld({
    namespace: 'scaler-contract',
    container: (key) => ({
      command: ['node', '-e', SCRIPT],
      env: [{ name: 'DOORMAN', value: `http://${world.hostAddress}:${port}/${key}` }],
    }),
  })
  let keys = 0
  const newKey = (): TargetKey => `app-${++keys}`
  return {
    driver: world.driver,
    target: newKey,
    failing() {
      const key = newKey()
      broken.add(key)
      return { key, code: 'KUBERNETES_CRASHED', mend: () => void broken.delete(key) }
    },
    slow() {
      const key = newKey()
      const gate = { asked: Promise.withResolvers<void>(), opened: Promise.withResolvers<void>() }
      held.set(key, gate)
      return { key, asked: gate.asked.promise, open: () => gate.opened.resolve() }
    },
    crash: (endpoint) =>
      get(endpoint, '/crash').then(
        () => undefined,
        () => undefined,
      ),
    answers,
    gone: (key) => until(async () => (await world.pods(key)).length === 0),
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      doorman.closeAllConnections()
      doorman.close()
    },
  }
}

describeDriverContract('kubernetes', { start, maxReplicas: 3 })
