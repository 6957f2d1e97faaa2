import {
  KubeConfig,
  type V1Container,
  type V1Deployment,
  type V1Pod,
  type V1PodSpec,
} from '@kubernetes/client-node'
import { inject } from 'vitest'
import {
  createKubernetesDriver,
  KubernetesApi,
  type KubernetesDriver,
} from '../src/drivers/kubernetes/index.ts'
import type { KubernetesDriverOptions } from '../src/drivers/kubernetes/index.ts'
import type { TargetKey } from '../src/types.ts'

export const LABEL = 'scaler.test/target'
export const PORT = 8000

/** A namespace of a real cluster, with a driver whose Deployments run one container as a test says. */
export interface ClusterWorld extends AsyncDisposable {
  readonly api: KubernetesApi
  readonly driver: KubernetesDriver
  /** Where pods find this machine. */
  readonly hostAddress: string
  path(kind: 'pods' | 'services' | 'resourcequotas' | 'secrets', name?: string): string
  pods(key: TargetKey): Promise<V1Pod[]>
}

export interface WorldOptions extends Partial<KubernetesDriverOptions> {
  readonly namespace: string
  /** Over the defaults: the image that runs scripts, with a `command` of the test's. */
  container(key: TargetKey): Partial<V1Container>
  pod?(key: TargetKey): Partial<V1PodSpec>
}

export async function clusterWorld({
  namespace,
  container,
  pod,
  ...options
}: WorldOptions): Promise<ClusterWorld> {
  const { kubeconfig, hostAddress, nodeImage } = inject('cluster')
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(kubeconfig)
  const api = new KubernetesApi(kubeConfig)
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } })

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
            ...pod?.(key),
            containers: [
              { name: 'app', image: nodeImage, imagePullPolicy: 'IfNotPresent', ...container(key) },
            ],
          },
        },
      },
    }
  }

  const driver = await createKubernetesDriver({
    kubeConfig,
    namespace,
    targetLabel: LABEL,
    port: PORT,
    async prepare(key, { signal }) {
      await api
        .request('POST', `/apis/apps/v1/namespaces/${namespace}/deployments`, {
          body: deployment(key),
          signal,
        })
        .catch((error: { status?: number }) => {
          if (error.status !== 409) throw error
        })
    },
    ...options,
  })
  const path: ClusterWorld['path'] = (kind, name) =>
    `/api/v1/namespaces/${namespace}/${kind}${name ? `/${name}` : ''}`
  return {
    api,
    driver,
    hostAddress,
    path,
    async pods(key) {
      const query = { labelSelector: `${LABEL}=${key}` }
      return (await api.request<{ items: V1Pod[] }>('GET', path('pods'), { query })).items
    },
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      await api.request('DELETE', `/api/v1/namespaces/${namespace}`)
      await api[Symbol.asyncDispose]()
    },
  }
}
