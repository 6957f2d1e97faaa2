import type { KubernetesApi } from '@fp/scaler/kubernetes'
import { KubernetesApiError } from '@fp/scaler/kubernetes'
import type { V1Lease } from '@kubernetes/client-node'
import type { Lease } from './leader.ts'

/** A Lease of the cluster, by its API. */
export function createClusterLease(api: KubernetesApi, namespace: string, name: string): Lease {
  const all = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
  return {
    async read(signal) {
      try {
        const { metadata, spec } = await api.request<V1Lease>('GET', `${all}/${name}`, { signal })
        return {
          holder: spec?.holderIdentity ?? '',
          renewTime: spec?.renewTime ? Date.parse(String(spec.renewTime)) : 0,
          duration: (spec?.leaseDurationSeconds ?? 0) * 1000,
          transitions: spec?.leaseTransitions ?? 0,
          resourceVersion: metadata!.resourceVersion!,
        }
      } catch (error) {
        if (error instanceof KubernetesApiError && error.status === 404) return undefined
        throw error
      }
    },
    async write({ holder, renewTime, duration, transitions }, resourceVersion, signal) {
      const body = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace, ...(resourceVersion ? { resourceVersion } : {}) },
        spec: {
          holderIdentity: holder,
          leaseDurationSeconds: Math.round(duration / 1000),
          leaseTransitions: transitions,
          // Six digits, as Kubernetes writes it.
          renewTime: new Date(renewTime).toISOString().replace('Z', '000Z'),
        },
      }
      await (resourceVersion
        ? api.request('PUT', `${all}/${name}`, { body, signal })
        : api.request('POST', all, { body, signal }))
    },
  }
}
