import type { KubernetesObject } from '@kubernetes/client-node'
import { KubernetesApiError, type KubernetesApi } from '@fp/scaler/kubernetes'

const PATHS = {
  pods: '/api/v1',
  secrets: '/api/v1',
  services: '/api/v1',
  configmaps: '/api/v1',
  events: '/api/v1',
  deployments: '/apis/apps/v1',
} as const

export type Kind = keyof typeof PATHS

/** Of one namespace. */
export interface ObjectStore {
  path(kind: Kind, name?: string): string
  list<T extends KubernetesObject>(kind: Kind, labelSelector: string): Promise<T[]>
  get<T extends KubernetesObject>(kind: Kind, name: string): Promise<T | undefined>
  /** Undefined when there is one of that name already. */
  create<T extends KubernetesObject>(kind: Kind, object: T): Promise<T | undefined>
  /** Undefined when it has changed since, or is gone. `body` names the resourceVersion it is meant for. */
  patch<T extends KubernetesObject>(kind: Kind, name: string, body: object): Promise<T | undefined>
  /** What is gone already is no error. */
  remove(kind: Kind, name: string, options?: { graceS?: number }): Promise<void>
}

export function createObjectStore(api: KubernetesApi, namespace: string): ObjectStore {
  const path = (kind: Kind, name?: string): string =>
    `${PATHS[kind]}/namespaces/${namespace}/${kind}${name ? `/${name}` : ''}`
  return {
    path,
    async list<T>(kind: Kind, labelSelector: string) {
      const { items } = await api.request<{ items: T[] }>('GET', path(kind), { query: { labelSelector } })
      return items
    },
    get: (kind, name) => unless([404], api.request('GET', path(kind, name))),
    create: (kind, object) => unless([409], api.request('POST', path(kind), { body: object })),
    patch: (kind, name, body) =>
      unless([404, 409], api.request('PATCH', path(kind, name), { patch: 'merge', body })),
    async remove(kind, name, { graceS } = {}) {
      const query = { propagationPolicy: 'Background', gracePeriodSeconds: graceS }
      await unless([404], api.request('DELETE', path(kind, name), { query }))
    },
  }
}

/** Undefined where the API server answered one of these. */
async function unless<T>(statuses: readonly number[], answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof KubernetesApiError && statuses.includes(error.status)) return undefined
    throw error
  }
}
