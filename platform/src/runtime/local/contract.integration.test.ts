import { describeDriverContract, type DriverUnderTest } from '@fp/scaler/contract'
import { mkdtemp, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pino } from 'pino'
import * as vitest from 'vitest'
import { expect } from 'vitest'
import { askingApp, startDoorman } from '../../../../scaler/test/contract/doorman.ts'
import type { LocalDriver } from './driver.ts'
import { createLocalRuntime } from './index.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')

/** An address of this machine that apps reach when it is allowed; loopback where there is no other. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

async function start(): Promise<DriverUnderTest> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fp-contract-'))
  // Apps have a network of their own, in which the machine's loopback is not to be reached.
  const host = ownAddress()
  const doorman = await startDoorman({
    newKey: (count) => `app${count}.1.0`,
    failureCode: 'FP_APP_IMPORT_FAILED',
    host,
  })
  const runtime = await createLocalRuntime({
    dataDir,
    python: join(ROOT, '.fp/venv/bin/python'),
    runnerPath: join(ROOT, 'runner/src'),
    allowUnsandboxed: false,
    storageBytes: 16 * 2 ** 20,
    egress: { mode: 'internet', allowed: [{ network: `${host}/32`, port: null }], addresses: undefined },
    log: pino({ level: 'silent' }),
  })
  runtime.start({
    specOf: async (key) => ({
      key,
      appId: key.split('.')[0]!,
      ownerId: 'u1',
      version: 1,
      files: { 'app.py': askingApp(`http://${host}:${doorman.port}/${key}`) },
      assets: [],
      artifacts: [],
      limits: {},
      storage: false,
      entrypoint: 'app.py',
      env: {},
      sequence: 7,
    }),
    liveTargets: () => Promise.resolve([]),
    crashed: () => undefined,
    progress: () => undefined,
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

describeDriverContract('local', { start, maxReplicas: 1 }, vitest)
