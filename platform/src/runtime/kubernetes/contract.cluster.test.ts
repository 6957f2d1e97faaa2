import { describeDriverContract, type DriverUnderTest } from '@fp/scaler/contract'
import { KubeConfig, type V1Pod } from '@kubernetes/client-node'
import { KubernetesApi } from '@fp/scaler/kubernetes'
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import * as vitest from 'vitest'
import { inject } from 'vitest'
import { askingApp, startDoorman } from '../../../../scaler/test/contract/doorman.ts'
import { until } from '../../../../scaler/test/contract/processes.ts'
import { testMongo } from '../../../test/database.ts'
import { alwaysLeader } from '../../coordination/leader.ts'
import { createKubernetesRuntime } from './index.ts'
import { TARGET_LABEL } from './names.ts'

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

  const doorman = await startDoorman({
    newKey: (count) => `app${count}.1.0`,
    failureCode: 'FP_APP_IMPORT_FAILED',
  })
  const mongo = await testMongo()
  const leader = alwaysLeader()
  const runtime = await createKubernetesRuntime({
    kubeConfig,
    settings: {
      namespace,
      runnerImage,
      poolSize,
      maxReplicas: 3,
      runtimeClass: undefined,
      mongodbHost: undefined,
      storageClass: undefined,
      storageSize: '100Mi',
      // No policies in its namespaces.
      allowUnsandboxed: true,
      resources: { cpuRequest: '10m', cpuLimit: undefined, memoryRequest: '32Mi', memoryLimit: '256Mi' },
    },
    db: mongo.db,
    secretKey: randomBytes(32),
    leader,
    log: pino({ level: 'silent' }),
  })
  runtime.start({
    specOf: async (key) => ({
      key,
      appId: key.split('.')[0]!,
      ownerId: 'u1',
      version: 1,
      files: { 'app.py': askingApp(`http://${hostAddress}:${doorman.port}/${key}`) },
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
  await until(async () => (await podsOf('fp.dev/role=pool')).filter(isReady).length === poolSize)

  return {
    ...doorman.targets,
    driver: runtime.driver,
    gone: (key) => until(async () => (await podsOf(`${TARGET_LABEL}=${key}`)).length === 0),
    async [Symbol.asyncDispose]() {
      await runtime.close()
      await leader[Symbol.asyncDispose]()
      await mongo[Symbol.asyncDispose]()
      await api.request('DELETE', `/api/v1/namespaces/${namespace}`)
      await api[Symbol.asyncDispose]()
      await doorman[Symbol.asyncDispose]()
    },
  }
}

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

describeDriverContract(
  'kubernetes, by Deployments alone',
  {
    start: () => start('fp-contract', 0),
    maxReplicas: 3,
    stepTimeout: 120_000,
  },
  vitest,
)
describeDriverContract(
  'kubernetes, from the pool',
  {
    start: () => start('fp-contract-pool', 3),
    maxReplicas: 3,
    stepTimeout: 120_000,
  },
  vitest,
)
