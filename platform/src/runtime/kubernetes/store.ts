import type { KubernetesObject } from '@kubernetes/client-node'
import { KubernetesApiError, type KubernetesApi } from '@fp/scaler/kubernetes'
import type { KindWith, Verb } from './rights.ts'

const PATHS = {
  pods: '/api/v1',
  secrets: '/api/v1',
  services: '/api/v1',
  configmaps: '/api/v1',
  events: '/api/v1',
  persistentvolumeclaims: '/api/v1',
  deployments: '/apis/apps/v1',
} as const

export type Kind = keyof typeof PATHS
type Of<V extends Verb> = Kind & KindWith<V>
/** The kinds that an informer can follow. */
export type WatchedKind = Of<'list'> & Of<'watch'>

/** Reads and writes the objects of one namespace. */
export interface ObjectStore {
  path(kind: WatchedKind, name?: string): string
  list<T extends KubernetesObject>(kind: Of<'list'>, labelSelector: string): Promise<T[]>
  get<T extends KubernetesObject>(kind: Of<'get'>, name: string): Promise<T | undefined>
  /** Undefined when an object of that name exists. */
  create<T extends KubernetesObject>(kind: Of<'create'>, object: T): Promise<T | undefined>
  /** Undefined when the object was deleted, or has changed since the resourceVersion that `body` names. */
  patch<T extends KubernetesObject>(kind: Of<'patch'>, name: string, body: object): Promise<T | undefined>
  /** Does nothing if the object was deleted, or has changed since the `resourceVersion`. */
  remove(
    kind: Of<'delete'>,
    name: string,
    options?: { graceS?: number; resourceVersion?: string },
  ): Promise<void>
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
    get: (kind, name) => unless([404], () => api.request('GET', path(kind, name))),
    create: (kind, object) =>
      unless(['AlreadyExists'], async () => {
        for (let tries = 1; ; tries++) {
          try {
            return await api.request('POST', path(kind), { body: object })
          } catch (error) {
            if (!isQuotaConflict(error) || tries === QUOTA_TRIES) throw error
          }
        }
      }),
    patch: (kind, name, body) =>
      unless([404, 409], () => api.request('PATCH', path(kind, name), { patch: 'merge', body })),
    async remove(kind, name, { graceS, resourceVersion } = {}) {
      const query = { propagationPolicy: 'Background', gracePeriodSeconds: graceS }
      const body = resourceVersion === undefined ? {} : { body: { preconditions: { resourceVersion } } }
      await unless([404, ...(resourceVersion === undefined ? [] : [409])], () =>
        api.request('DELETE', path(kind, name), { query, ...body }),
      )
    },
  }
}

/** Another request updated the quota at the same time. The API server answers with the status of an existing object. */
const isQuotaConflict = (error: unknown): boolean =>
  error instanceof KubernetesApiError && error.status === 409 && error.reason !== 'AlreadyExists'
const QUOTA_TRIES = 5

/** Undefined if the API server answered with one of these statuses or reasons. */
async function unless<T>(
  answers: readonly (number | string)[],
  ask: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    const known =
      error instanceof KubernetesApiError &&
      (answers.includes(error.status) || answers.includes(error.reason))
    if (known) return undefined
    throw error
  }
}
