import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as vitest from 'vitest'
import { createProcessDriver, type ProcessSpec } from '../../src/drivers/process/index.ts'
import type { TargetKey } from '../../src/types.ts'
import { describeDriverContract, type DriverUnderTest } from '../../src/contract/index.ts'
import { get } from '../../src/contract/http.ts'
import { runs, until } from './processes.ts'

const APP = join(import.meta.dirname, 'app.mjs')

/** Targets by the first word of their keys: `plain-1`, `failing-2`, `slow-3`. */
async function start(listen: ProcessSpec['listen']): Promise<DriverUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'fp-contract-'))
  /** The file that makes a failing target work. */
  const mended = (key: TargetKey): string => join(folder, key)
  const outputs = new Map<TargetKey, string>()
  const output = (key: TargetKey): string => outputs.get(key) ?? ''
  const pidsOf = (key: TargetKey): number[] =>
    [...output(key).matchAll(/pid (\d+)\n/g)].map(([, pid]) => Number(pid))
  let keys = 0

  const driver = createProcessDriver({
    command(key, { port, socketPath }) {
      const [kind] = key.split('-')
      return {
        command: process.execPath,
        args: [APP],
        env: {
          LISTEN: listen === 'socket' ? socketPath : String(port),
          ...(kind === 'failing' ? { CRASH_UNLESS: mended(key) } : {}),
          ...(kind === 'slow' ? { HOLD_UNLESS: mended(key) } : {}),
        },
        listen,
      }
    },
    onOutput: (key, { text }) => void outputs.set(key, output(key) + text),
  })

  return {
    driver,
    target: () => `plain-${++keys}`,
    failing() {
      const key = `failing-${++keys}`
      return { key, code: 'PROCESS_EXITED', mend: () => writeFileSync(mended(key), '') }
    },
    slow() {
      const key = `slow-${++keys}`
      // Two requests: the response to the first was not treated as readiness.
      const asked = until(() => output(key).split('asked').length > 2)
      return { key, asked, open: () => writeFileSync(mended(key), '') }
    },
    crash: (endpoint) =>
      get(endpoint, '/crash').then(
        () => undefined,
        () => undefined,
      ),
    gone: (key) => until(() => !pidsOf(key).some(runs)),
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

describeDriverContract('processes on unix sockets', { start: () => start('socket'), maxReplicas: 3 }, vitest)
describeDriverContract('processes on ports', { start: () => start('port'), maxReplicas: 3 }, vitest)
