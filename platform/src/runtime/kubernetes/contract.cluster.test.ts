import { KubeConfig, type V1Pod } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import { KubernetesApi } from '@fp/scaler/kubernetes'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { inject } from 'vitest'
import {
  describeDriverContract,
  type DriverUnderTest,
} from '../../../../scaler/test/contract/driver-contract.ts'
import { answers, get } from '../../../../scaler/test/contract/http.ts'
import { until } from '../../../../scaler/test/contract/processes.ts'
import { testMongo } from '../../../test/database.ts'
import { createKubernetesRuntime } from './index.ts'
import { TARGET_LABEL } from './names.ts'

/** Asks the test's server whether it may start, waits for the word, and ends when it is told to. */
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

async function start(namespace: string, poolSize: number): Promise<DriverUnderTest> {
  const { kubeconfig, hostAddress, runnerImage } = inject('cluster')
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(kubeconfig)
  const api = new KubernetesApi(kubeConfig)
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } })
  await api.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {
    body: { metadata: { name: 'fp-app' } },
  })
  const podsOf = async (labelSelector: string): Promise<V1Pod[]> => {
    const path = `/api/v1/namespaces/${namespace}/pods`
    return (await api.request<{ items: V1Pod[] }>('GET', path, { query: { labelSelector } })).items
  }

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

  const mongo = await testMongo()
  let keys = 0
  const newKey = (): TargetKey => `app${++keys}.1.0`
  const runtime = await createKubernetesRuntime({
    kubeConfig,
    settings: {
      namespace,
      ownNamespace: namespace,
      podName: 'test',
      runnerImage,
      poolSize,
      maxReplicas: 3,
      runtimeClass: undefined,
      // No policies in its namespaces.
      allowUnsandboxed: true,
      resources: { cpuRequest: '10m', cpuLimit: undefined, memoryRequest: '32Mi', memoryLimit: '256Mi' },
    },
    db: mongo.db,
    secretKey: randomBytes(32),
    specOf: async (key) => ({
      key,
      appId: key.split('.')[0]!,
      version: 1,
      files: { 'app.py': APP(`http://${hostAddress}:${port}/${key}`) },
      entrypoint: 'app.py',
      env: {},
      sequence: 7,
    }),
    liveTargets: () => Promise.resolve([]),
    progress: () => undefined,
    log: pino({ level: 'silent' }),
  })
  runtime.start()
  await until(async () => (await podsOf('fp.dev/role=pool')).filter(isReady).length === poolSize)

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
    gone: (key) => until(async () => (await podsOf(`${TARGET_LABEL}=${key}`)).length === 0),
    async [Symbol.asyncDispose]() {
      await runtime.close()
      await mongo[Symbol.asyncDispose]()
      await api.request('DELETE', `/api/v1/namespaces/${namespace}`)
      await api[Symbol.asyncDispose]()
      doorman.closeAllConnections()
      doorman.close()
    },
  }
}

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

describeDriverContract('kubernetes, by Deployments alone', {
  start: () => start('fp-contract', 0),
  maxReplicas: 3,
})
describeDriverContract('kubernetes, from the pool', {
  start: () => start('fp-contract-pool', 3),
  maxReplicas: 3,
})
