import { existsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as vitest from 'vitest'
import { get } from '../../src/contract/http.ts'
import { describeDriverContract, type DriverUnderTest } from '../../src/contract/index.ts'
import { createThreadDriver } from '../thread-driver-example.ts'
import { until } from './processes.ts'

/** The program of a target; `NOTE` is a file that repairs a failing target and opens a slow one. */
const PROGRAM = `
  import { existsSync, writeFileSync } from 'node:fs'
  import { createServer } from 'node:http'
  if (KIND === 'failing' && !existsSync(NOTE)) process.exit(3)
  createServer((request, response) => {
    if (request.url === '/crash') process.exit(1)
    if (KIND === 'slow' && !existsSync(NOTE)) {
      writeFileSync(NOTE + '.asked', '')
      response.statusCode = 503
    }
    response.end()
  }).listen(process.argv[2])
`

async function start(): Promise<DriverUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'scaler-threads-'))
  let keys = 0
  const note = (key: string): string => join(folder, key)
  function newKey(kind: string): string {
    const key = `${kind}-${++keys}`
    const constants = `const KIND = '${kind}', NOTE = ${JSON.stringify(note(key))};`
    writeFileSync(`${note(key)}.mjs`, constants + PROGRAM)
    return key
  }
  const driver = createThreadDriver((key) => pathToFileURL(`${note(key)}.mjs`))
  return {
    driver,
    target: () => newKey('plain'),
    failing() {
      const key = newKey('failing')
      return { key, code: 'THREAD_ENDED', mend: () => writeFileSync(note(key), '') }
    },
    slow() {
      const key = newKey('slow')
      const asked = until(() => existsSync(`${note(key)}.asked`))
      return { key, asked, open: () => writeFileSync(note(key), '') }
    },
    crash: (endpoint) =>
      get(endpoint, '/crash').then(
        () => undefined,
        () => undefined,
      ),
    gone: () => Promise.resolve(),
    async [Symbol.asyncDispose]() {
      const { signal } = new AbortController()
      for (let n = 1; n <= keys; n++)
        for (const kind of ['plain', 'failing', 'slow']) await driver.scale(`${kind}-${n}`, 0, { signal })
      await rm(folder, { recursive: true })
    },
  }
}

describeDriverContract('the threads of the README', { start, maxReplicas: 1 }, vitest)
