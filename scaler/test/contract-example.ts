import type { DriverUnderTest } from '@fp/scaler/contract'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { createThreadDriver } from './thread-driver-example.ts'

/** The program of a target. The file NOTE repairs a failing target and opens a slow one. */
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

export async function start(): Promise<DriverUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'contract-'))
  const keys: string[] = []
  const note = (key: string): string => join(folder, key)
  function newKey(kind: string): string {
    const key = `${kind}-${keys.length}`
    keys.push(key)
    writeFileSync(
      `${note(key)}.mjs`,
      `const KIND = '${kind}', NOTE = ${JSON.stringify(note(key))};${PROGRAM}`,
    )
    return key
  }
  async function asked(key: string): Promise<void> {
    while (!existsSync(`${note(key)}.asked`)) await setTimeout(5)
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
      return { key, asked: asked(key), open: () => writeFileSync(note(key), '') }
    },
    crash: ({ url }) =>
      new Promise((resolve) => {
        get({ socketPath: url.pathname, path: '/crash' }).once('error', () => resolve())
      }),
    gone: () => Promise.resolve(), // nothing is left of a worker that is terminated
    async [Symbol.asyncDispose]() {
      const { signal } = new AbortController()
      await Promise.all(keys.map((key) => driver.scale(key, 0, { signal })))
      await rm(folder, { recursive: true })
    },
  }
}
