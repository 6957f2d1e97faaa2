import type { TargetKey } from '@fp/scaler'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pino } from 'pino'
import { expect } from 'vitest'
import {
  describeDriverContract,
  type DriverUnderTest,
} from '../../../../scaler/test/contract/driver-contract.ts'
import { answers, get } from '../../../../scaler/test/contract/http.ts'
import type { LocalDriver } from './driver.ts'
import { createLocalRuntime } from './index.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')

/** An app that asks the test's server whether it may start, waits for the word, and ends when it is told to. */
const APP = (ask: string): string => `import os
import urllib.request

from fastapi import FastAPI

urllib.request.urlopen("${ask}")
app = FastAPI()


@app.get("/")
def answer() -> str:
    return "hello"


@app.get("/crash")
def crash() -> None:
    os._exit(1)
`

async function start(): Promise<DriverUnderTest> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fp-contract-'))
  /** Answers for these keys are held, or are no. */
  const held = new Map<TargetKey, { asked: PromiseWithResolvers<void>; opened: PromiseWithResolvers<void> }>()
  const broken = new Set<TargetKey>()
  const doorman = createServer((request, response) => {
    const key = request.url!.slice(1)
    const gate = held.get(key)
    gate?.asked.resolve()
    void (gate?.opened.promise ?? Promise.resolve()).then(() =>
      response.writeHead(broken.has(key) ? 500 : 200).end(),
    )
  }).listen(0, '127.0.0.1')
  await once(doorman, 'listening')
  const { port } = doorman.address() as AddressInfo

  let keys = 0
  const newKey = (): TargetKey => `app${++keys}.1.0`
  const runtime = await createLocalRuntime({
    dataDir,
    python: join(ROOT, '.fp/venv/bin/python'),
    runnerPath: join(ROOT, 'runner/src'),
    allowUnsandboxed: false,
    specOf: async (key) => ({
      key,
      appId: key.split('.')[0]!,
      version: 1,
      files: { 'app.py': APP(`http://127.0.0.1:${port}/${key}`) },
      entrypoint: 'app.py',
      env: {},
      sequence: 7,
    }),
    crashed: () => undefined,
    log: pino({ level: 'silent' }),
  })

  return {
    driver: runtime.driver,
    target: newKey,
    failing() {
      const key = newKey()
      broken.add(key)
      return { key, code: 'FP_APP_IMPORT_FAILED', mend: () => void broken.delete(key) }
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
    gone: () => expect.poll(() => (runtime.driver as LocalDriver).count, { timeout: 20_000 }).toBe(0),
    async [Symbol.asyncDispose]() {
      await runtime.close()
      doorman.closeAllConnections()
      doorman.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

describeDriverContract('local', { start, maxReplicas: 1 })
