import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pino } from 'pino'
import { expect } from 'vitest'
import { askingApp, startDoorman } from '../../../../scaler/test/contract/doorman.ts'
import {
  describeDriverContract,
  type DriverUnderTest,
} from '../../../../scaler/test/contract/driver-contract.ts'
import type { LocalDriver } from './driver.ts'
import { createLocalRuntime } from './index.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')

async function start(): Promise<DriverUnderTest> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fp-contract-'))
  const doorman = await startDoorman({
    newKey: (count) => `app${count}.1.0`,
    failureCode: 'FP_APP_IMPORT_FAILED',
    host: '127.0.0.1',
  })
  const runtime = await createLocalRuntime({
    dataDir,
    python: join(ROOT, '.fp/venv/bin/python'),
    runnerPath: join(ROOT, 'runner/src'),
    allowUnsandboxed: false,
    egress: { mode: 'internet', allowed: [], addresses: undefined },
    specOf: async (key) => ({
      key,
      appId: key.split('.')[0]!,
      ownerId: 'u1',
      version: 1,
      files: { 'app.py': askingApp(`http://127.0.0.1:${doorman.port}/${key}`) },
      assets: [],
      storage: false,
      entrypoint: 'app.py',
      env: {},
      sequence: 7,
    }),
    crashed: () => undefined,
    log: pino({ level: 'silent' }),
  })

  return {
    ...doorman.targets,
    driver: runtime.driver,
    gone: () => expect.poll(() => (runtime.driver as LocalDriver).count, { timeout: 20_000 }).toBe(0),
    async [Symbol.asyncDispose]() {
      await runtime.close()
      await doorman[Symbol.asyncDispose]()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

describeDriverContract('local', { start, maxReplicas: 1 })
