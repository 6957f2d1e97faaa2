import * as vitest from 'vitest'
import { clusterWorld, PORT } from '../cluster.ts'
import { startDoorman } from './doorman.ts'
import { describeDriverContract, type DriverUnderTest } from '../../src/contract/index.ts'
import { until } from './processes.ts'

/** An app that asks the doorman whether it may start, waits for the response, and ends on SIGTERM. */
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
  const doorman = await startDoorman({ newKey: (count) => `app-${count}`, failureCode: 'KUBERNETES_CRASHED' })
  const world = await clusterWorld({
    namespace: 'scaler-contract',
    container: (key) => ({
      command: ['node', '-e', SCRIPT],
      env: [{ name: 'DOORMAN', value: `http://${world.hostAddress}:${doorman.port}/${key}` }],
    }),
  })
  return {
    ...doorman.targets,
    driver: world.driver,
    gone: (key) => until(async () => (await world.pods(key)).length === 0),
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      await doorman[Symbol.asyncDispose]()
    },
  }
}

describeDriverContract('kubernetes', { start, maxReplicas: 3, stepTimeout: 120_000 }, vitest)
