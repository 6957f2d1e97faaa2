import type { V1Scale } from '@kubernetes/client-node'
import type { Clock } from '../../clock.ts'
import { pause, untilReady } from '../../readiness.ts'
import type { TargetKey } from '../../types.ts'
import { KubernetesApiError, type ApiRequest, type KubernetesApi } from './api.ts'
import type { PodReplica } from './replica.ts'

/** Among ready pods, a ReplicaSet deletes those with the lowest cost first. */
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

/**
 * The maximum ms to wait until the kubelet reports pods as ready that already respond. After that, the ReplicaSet may delete
 * another pod than the chosen one; that pod then finishes its open requests.
 */
const KUBELET_PATIENCE = 5_000
/**
 * The maximum ms to wait until a ReplicaSet deletes its surplus pods. A pod that is deleted before the ReplicaSet knows of the
 * new number is replaced first, and the replacement is then deleted.
 */
const SET_PATIENCE = 1_000

/** ms for which a request is retried if the API server does not respond or is busy. All requests here are idempotent. */
const RETRY_FOR = 2_000
/** ms until the first retry; doubled each time. */
const FIRST_RETRY = 50

export interface TargetRequestsDeps {
  readonly api: KubernetesApi
  readonly namespace: string
  readonly clock: Clock
  deploymentName(key: TargetKey): string
}

/** The parts of a target that are needed to delete its pods. */
export interface PodsToDelete {
  readonly living: readonly PodReplica[]
  readonly toDelete: readonly PodReplica[]
}

/** The driver's requests to the API server for its targets. Each request is retried for a short time, as users wait for it. */
export class TargetRequests {
  readonly #deps: TargetRequestsDeps

  constructor(deps: TargetRequestsDeps) {
    this.#deps = deps
  }

  /** Sets the replicas of the Deployment. Resolves to the new resource version of the Deployment. */
  async scale(key: TargetKey, replicas: number, signal: AbortSignal): Promise<string | undefined> {
    const { namespace, deploymentName } = this.#deps
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deploymentName(key)}/scale`
    const body = { spec: { replicas } }
    const scale = await this.#request<V1Scale>('PATCH', path, { patch: 'merge', body, signal })
    return scale.metadata?.resourceVersion
  }

  /**
   * Makes the ReplicaSet delete the pods in `toDelete` before others. A ReplicaSet considers the kubelet's readiness before the
   * cost, so this waits until the kubelet reports the remaining pods as ready: about a second after this driver knows it.
   */
  async markForDeletion({ toDelete, living }: PodsToDelete, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    const body = { metadata: { annotations: { [DELETION_COST]: '-1000' } } }
    await Promise.all(
      toDelete
        .filter(({ controlled }) => controlled)
        .map(({ name }) =>
          this.#request('PATCH', this.#pod(name), { patch: 'merge', body, signal }).catch(ignoring(404)),
        ),
    )
    const began = clock.now()
    const staying = living.filter(({ controlled }) => controlled)
    await untilReady(
      async () =>
        clock.now() - began >= KUBELET_PATIENCE ||
        staying.every(({ kubeletReady, endpoint }) => kubeletReady || !endpoint),
      { signal, clock },
    )
  }

  /** Deletes the pods in `toDelete`. First waits up to SET_PATIENCE ms for the ReplicaSet to delete those that it controls. */
  async deletePods(target: PodsToDelete, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    await this.deleteNow(
      target.toDelete.filter(({ ofSet }) => !ofSet),
      signal,
    )
    const began = clock.now()
    await untilReady(
      async () => clock.now() - began >= SET_PATIENCE || !target.toDelete.some(({ ofSet }) => ofSet),
      { signal, clock },
    )
    await this.deleteNow(target.toDelete, signal)
  }

  async deleteNow(replicas: readonly PodReplica[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      replicas.map(({ name, uid }) =>
        // 409: the pod with this name has another uid.
        this.#request('DELETE', this.#pod(name), { body: { preconditions: { uid } }, signal }).catch(
          ignoring(404, 409),
        ),
      ),
    )
  }

  #pod(name: string): string {
    return `/api/v1/namespaces/${this.#deps.namespace}/pods/${name}`
  }

  async #request<T>(
    method: 'PATCH' | 'DELETE',
    path: string,
    request: ApiRequest & { signal: AbortSignal },
  ): Promise<T> {
    const { clock } = this.#deps
    const until = clock.now() + RETRY_FOR
    for (let wait = FIRST_RETRY; ; wait *= 2) {
      try {
        return await this.#deps.api.request<T>(method, path, request)
      } catch (error) {
        if (!isPassing(error) || clock.now() + wait > until) throw error
      }
      await pause(wait, clock, request.signal)
    }
  }
}

/** Whether the API server could not be reached, has too many requests, or has an internal error. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof KubernetesApiError && (error.status === 0 || error.status === 429 || error.status >= 500)
  )
}

/** Returns a rejection handler that treats these HTTP statuses of the API server as success. */
export function ignoring(...statuses: number[]): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof KubernetesApiError && statuses.includes(error.status)) return undefined
    throw error
  }
}
