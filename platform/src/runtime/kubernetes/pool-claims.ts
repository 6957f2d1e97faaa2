import type { V1OwnerReference, V1Pod } from '@kubernetes/client-node'
import { isPodReady, podAddress } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import { poolLabels, TARGET_LABEL } from './names.ts'
import { PodClaimedError, provePod, type ProvenPod, type StartAnswer } from './pod-api.ts'
import { podKey } from './pod-keys.ts'
import type { PackedStartRequest } from './start-request.ts'
import type { ObjectStore } from './store.ts'

export interface PoolClaimsDeps {
  readonly store: ObjectStore
  /** The waiting pods as the cluster last reported them. */
  waiting(): Iterable<V1Pod>
  /** The port on which pods answer. */
  readonly port: number
  readonly secretKey: Buffer
  readonly log: Logger
}

export interface ClaimedPod {
  readonly pod: V1Pod
  /** See ProvenPod.start. */
  start(request: PackedStartRequest, signal?: AbortSignal): Promise<StartAnswer>
}

/** Claims waiting pods of the pool, and sends pods their start requests. */
export class PoolClaims {
  readonly #deps: PoolClaimsDeps
  /** The uids of pods that this replica has claimed or is sending a start request. */
  readonly #starting = new Set<string>()

  constructor(deps: PoolClaimsDeps) {
    this.#deps = deps
  }

  /** Claims one of the waiting pods: of two replicas that try the same one, one gets a conflict and tries another. */
  async claim(
    labels: Record<string, string>,
    owner: V1OwnerReference | undefined,
    signal: AbortSignal,
  ): Promise<ClaimedPod | undefined> {
    const candidates = [...this.#deps.waiting()].filter(canBeClaimed)
    while (candidates.length > 0) {
      signal.throwIfAborted()
      // Picks one at random, so that replicas that wake apps at the same time rarely try the same pod.
      const [candidate] = candidates.splice(Math.floor(Math.random() * candidates.length), 1)
      const claimed = await this.#claimPod(candidate!, labels, owner, signal)
      if (claimed) return claimed
    }
    return undefined
  }

  /** Undefined where another replica has claimed the pod, or it does not answer. */
  async #claimPod(
    { metadata }: V1Pod,
    labels: Record<string, string>,
    owner: V1OwnerReference | undefined,
    signal: AbortSignal,
  ): Promise<ClaimedPod | undefined> {
    const { store, secretKey, port, log } = this.#deps
    const { name = '', resourceVersion } = metadata!
    const pod = await store.patch<V1Pod>('pods', name, {
      metadata: {
        resourceVersion,
        labels: { ...removed(poolLabels()), ...labels },
        ...(owner ? { ownerReferences: [{ ...owner, controller: true }] } : {}),
      },
    })
    if (!pod) return undefined
    const { uid = '' } = pod.metadata!
    this.#starting.add(uid)
    try {
      const proven = await provePod(podAddress(pod, port)!, podKey(secretKey, name), signal)
      return { pod, start: (request, stop) => this.start(uid, proven, request, stop) }
    } catch (error) {
      this.#starting.delete(uid)
      // Another replica saw the target's pod wait for too long and has sent the start request.
      if (error instanceof PodClaimedError && labels[TARGET_LABEL])
        return { pod, start: () => Promise.reject(error) }
      await this.discard(name)
      signal.throwIfAborted()
      log.warn({ err: error, pod: name }, 'a pod of the pool did not answer; another one is taken')
      return undefined
    }
  }

  isStarting(uid: string): boolean {
    return this.#starting.has(uid)
  }

  /** Sends a pod its start request. The pod has proved its identity. */
  async start(
    uid: string,
    proven: ProvenPod,
    request: PackedStartRequest,
    signal?: AbortSignal,
  ): Promise<StartAnswer> {
    this.#starting.add(uid)
    const late = AbortSignal.timeout(request.timeout)
    try {
      return await proven.start(request, signal ? AbortSignal.any([signal, late]) : late)
    } finally {
      this.#starting.delete(uid)
    }
  }

  /** Deletes a pod. Never rejects, as the caller has the pod's answer already and must not lose it. */
  async discard(name: string): Promise<void> {
    const { store, log } = this.#deps
    await store
      .remove('pods', name, { graceS: 0 })
      .catch((error: unknown) => log.warn({ err: error, pod: name }, 'a pod was not deleted after its use'))
  }
}

function canBeClaimed(pod: V1Pod): boolean {
  return isPodReady(pod) && !pod.metadata?.deletionTimestamp && pod.status?.podIP !== undefined
}

/** The labels as a merge patch removes them. */
function removed(labels: Record<string, string>): Record<string, null> {
  return Object.fromEntries(Object.keys(labels).map((name) => [name, null]))
}
