import { createMemoryCoordination } from '@fp/scaler'
import {
  describeCoordinationContract,
  describeDriverContract,
  type CoordinationUnderTest,
  type DriverUnderTest,
  type TestFramework,
} from '@fp/scaler/contract'
import { createProcessDriver } from '@fp/scaler/process'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** A stranger's tests of drivers and coordinations, for the framework that is given. */
export function describeContracts(framework: TestFramework): void {
  describeDriverContract('processes', { start, maxReplicas: 3 }, framework)
  describeCoordinationContract('memory', { start: connect }, framework)
}

const SCRIPT = `
  const { existsSync } = require('node:fs')
  const [listen, kind, note] = process.argv.slice(1)
  if (kind === 'failing' && !existsSync(note)) process.exit(3)
  require('node:http').createServer((request, response) => {
    if (request.url === '/crash') process.exit(1)
    if (kind === 'slow' && !existsSync(note)) {
      require('node:fs').writeFileSync(note + '.asked', '')
      response.statusCode = 503
    }
    response.end()
  }).listen(listen)
`

async function start(): Promise<DriverUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'scaler-contract-'))
  const note = (key: string): string => join(folder, key)
  let keys = 0
  const newKey = (kind: string): string => `${kind}-${++keys}`
  const driver = createProcessDriver({
    command: (key, { socketPath }) => ({
      command: process.execPath,
      args: ['-e', SCRIPT, socketPath, key.split('-')[0]!, note(key)],
      listen: 'socket',
    }),
  })
  return {
    driver,
    target: () => newKey('plain'),
    failing() {
      const key = newKey('failing')
      return { key, code: 'PROCESS_EXITED', mend: () => writeFileSync(note(key), '') }
    },
    slow() {
      const key = newKey('slow')
      return {
        key,
        asked: until(() => existsSync(`${note(key)}.asked`)),
        open: () => writeFileSync(note(key), ''),
      }
    },
    crash: ({ url }) =>
      new Promise((resolve) => {
        request({ socketPath: url.pathname, path: '/crash' })
          .once('error', () => resolve())
          .end()
      }),
    gone: () => Promise.resolve(),
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

function connect(): Promise<CoordinationUnderTest> {
  const both = createMemoryCoordination()
  return Promise.resolve({ one: both, two: both, [Symbol.asyncDispose]: () => Promise.resolve() })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(5)
}
