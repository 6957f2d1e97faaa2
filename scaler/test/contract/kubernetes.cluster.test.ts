import { KubeConfig, type V1Deployment, type V1Pod } from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inject } from 'vitest'
import { createKubernetesDriver, KubernetesApi } from '../../src/drivers/kubernetes/index.ts'
import type { TargetKey } from '../../src/types.ts'
import { describeDriverContract, type DriverUnderTest } from './driver-contract.ts'
import { answers, get } from './http.ts'
import { until } from './processes.ts'

const NAMESPACE = 'scaler-contract'
const LABEL = 'scaler.test/target'
const PORT = 8000

/** Asks the doorman whether it may start, waits for the word, and ends when it is told to. */
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
  const { kubeconfig, hostAddress, nodeImage } = inject('cluster')
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(kubeconfig)
  const api = new KubernetesApi(kubeConfig)
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: NAMESPACE } } })

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

  function deployment(key: TargetKey): V1Deployment {
    const labels = { [LABEL]: key }
    return {
      metadata: { name: key, labels },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 2,
            automountServiceAccountToken: false,
            containers: [
              {
                name: 'app',
                image: nodeImage,
                imagePullPolicy: 'IfNotPresent',
                command: ['node', '-e', SCRIPT],
                env: [{ name: 'DOORMAN', value: `http://${hostAddress}:${port}/${key}` }],
              },
            ],
          },
        },
      },
    }
  }

  const driver = await createKubernetesDriver({
    kubeConfig,
    namespace: NAMESPACE,
    targetLabel: LABEL,
    port: PORT,
    async prepare(key, { signal }) {
      await api
        .request('POST', `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`, {
          body: deployment(key),
          signal,
        })
        .catch((error: { status?: number }) => {
          if (error.status !== 409) throw error
        })
    },
  })
  let keys = 0
  const newKey = (): TargetKey => `app-${++keys}`
  return {
    driver,
    target: newKey,
    failing() {
      const key = newKey()
      broken.add(key)
      return { key, code: 'KUBERNETES_CRASHED', mend: () => void broken.delete(key) }
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
    gone: (key) =>
      until(async () => {
        const { items } = await api.request<{ items: V1Pod[] }>('GET', pods, {
          query: { labelSelector: `${LABEL}=${key}` },
        })
        return items.length === 0
      }),
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      await api.request('DELETE', `/api/v1/namespaces/${NAMESPACE}`)
      await api[Symbol.asyncDispose]()
      doorman.closeAllConnections()
      doorman.close()
    },
  }
}

describeDriverContract('kubernetes', { start, maxReplicas: 3 })
