import type { V1Scale } from '@kubernetes/client-node'
import type { Clock } from '../../clock.ts'
import { pause, untilReady } from '../../readiness.ts'
import type { TargetKey } from '../../types.ts'
import { KubernetesApiError, type ApiRequest, type KubernetesApi } from './api.ts'
import type { PodReplica } from './replica.ts'

/** A ReplicaSet ends pods of lower cost first, of those that are ready. */
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

/** ms for kubelet to call ready what answers already; then whoever the ReplicaSet ends answers what it has. */
const KUBELET_PATIENCE = 5_000
/** ms for a ReplicaSet to end what it has too many. Of what is deleted before it knows, it makes another one, and ends that. */
const SET_PATIENCE = 1_000

/** ms for which a request to an API server that does not answer or is busy is retried. Every request here may be sent twice. */
const RETRY_FOR = 2_000
/** ms until the first retry; doubled each time. */
const FIRST_RETRY = 50

export interface TargetRequestsDeps {
  readonly api: KubernetesApi
  readonly namespace: string
  readonly clock: Clock
  deploymentName(key: TargetKey): string
}

/** The target, as far as deleting its pods depends on it. */
export interface PodsToDelete {
  readonly living: readonly PodReplica[]
  readonly toDelete: readonly PodReplica[]
}

/** What the driver asks of the API server for its targets. Each request is retried for a moment: visitors wait for it. */
export class TargetRequests {
  readonly #deps: TargetRequestsDeps

  constructor(deps: TargetRequestsDeps) {
    this.#deps = deps
  }

  /** Sets the replicas of the Deployment. Resolves to the version that it has then. */
  async scale(key: TargetKey, replicas: number, signal: AbortSignal): Promise<string | undefined> {
    const { namespace, deploymentName } = this.#deps
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deploymentName(key)}/scale`
    const body = { spec: { replicas } }
    const scale = await this.#request<V1Scale>('PATCH', path, { patch: 'merge', body, signal })
    return scale.metadata?.resourceVersion
  }

  /**
   * Makes a ReplicaSet end the pods to delete before others. It looks at what kubelet calls ready before it looks at the
   * cost, so what stays must be ready by kubelet's word too: that comes within a second or so of this driver's.
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

  /** Resolves once the pods to delete are gone or about to end; the ReplicaSet is given a moment to end its own. */
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
        // 409: there is another pod of that name.
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

/** The API server could not be reached, has too many requests, or is not well. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof KubernetesApiError && (error.status === 0 || error.status === 429 || error.status >= 500)
  )
}

/** A handler of rejections that takes these answers of the API server for success. */
export function ignoring(...statuses: number[]): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof KubernetesApiError && statuses.includes(error.status)) return undefined
    throw error
  }
}
