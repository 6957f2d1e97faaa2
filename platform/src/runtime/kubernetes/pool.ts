import type { V1OwnerReference, V1Pod } from '@kubernetes/client-node'
import { untilReady, type Clock, type TargetKey } from '@fp/scaler'
import {
  isPodReady,
  podAddress,
  type ProbeResult,
  type SparePods,
  type TakenPod,
} from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import { plainFailure, type AppSpec, type CheckResult } from '../runtime.ts'
import { podKey, PodToldError, provePod, targetPodKey, type StartAnswer, type ProvenPod } from './claim.ts'
import { asFailure, createRunnerProbe } from './failures.ts'
import { cameFromPool, checkLabels, poolLabels, SOURCE_LABEL, targetLabels, TARGET_LABEL } from './names.ts'
import { packStartRequest, type PackedStartRequest } from './start-request.ts'
import type { ObjectStore } from './store.ts'

export interface PoolDeps {
  readonly store: ObjectStore
  /** Pods that wait, by the latest word. */
  waiting(): Iterable<V1Pod>
  /** At which pods answer. */
  readonly port: number
  readonly secretKey: Buffer
  readonly clock: Clock
  specOf(key: TargetKey): Promise<AppSpec>
  /** Of the target's pods. */
  ownerOf(key: TargetKey): Promise<V1OwnerReference>
  readonly log: Logger
}

/** Pods that have imported the frameworks and wait to be told which app they are. */
export interface Pool extends SparePods {
  /** Loads an app in a pod of the pool; undefined where none waits. */
  check(spec: AppSpec, options: { signal: AbortSignal }): Promise<CheckResult | undefined>
  /**
   * Tells a target's pod what it is to be: one of its Deployment at once; one that was claimed if whoever claimed it has
   * not within a while, for that one may be dead. To be called as often as the pod is seen waiting.
   */
  seenWaiting(pod: V1Pod): void
}

type Start = Awaited<TakenPod['ready']>

interface ClaimedPod {
  readonly pod: V1Pod
  /** See ProvenPod.start. */
  tell(request: PackedStartRequest, signal?: AbortSignal): Promise<StartAnswer>
}

/** ms that a pod may be seen waiting by others than its claimer, who tells it at once. */
const CLAIMER_TIME = 2_000
/** Between two attempts of the same replica. */
const RETELL = 5_000

export function createPool(deps: PoolDeps): Pool {
  const { store, secretKey, clock, specOf, ownerOf, log } = deps
  /** Until when a pod that is seen waiting is left to others. */
  const left = new Map<string, number>()
  /** Claimed by this replica and being told. */
  const telling = new Set<string>()

  /** Makes one of the waiting pods ours: of those who try the same one, one gets a conflict. */
  async function claim(
    labels: Record<string, string>,
    owner: V1OwnerReference | undefined,
    signal: AbortSignal,
  ): Promise<ClaimedPod | undefined> {
    const candidates = [...deps.waiting()].filter(canBeTaken)
    // Replicas that wake at the same time need not meet at the same pod.
    while (candidates.length > 0) {
      signal.throwIfAborted()
      const [candidate] = candidates.splice(Math.floor(Math.random() * candidates.length), 1)
      const { name, resourceVersion } = candidate!.metadata!
      const pod = await store.patch<V1Pod>('pods', name!, {
        metadata: {
          resourceVersion,
          labels: { ...without(poolLabels()), ...labels },
          ...(owner ? { ownerReferences: [{ ...owner, controller: true }] } : {}),
        },
      })
      if (!pod) continue
      telling.add(pod.metadata!.uid!)
      try {
        const proven = await provePod(podAddress(pod, deps.port)!, podKey(secretKey, name!), signal)
        return { pod, tell: (request, stop) => tell(pod, proven, request, stop) }
      } catch (error) {
        telling.delete(pod.metadata!.uid!)
        // Somebody who saw the target's pod wait for long has told it already.
        if (error instanceof PodToldError && labels[TARGET_LABEL])
          return { pod, tell: () => Promise.reject(error) }
        await discard(name!)
        signal.throwIfAborted()
        log.warn({ err: error, pod: name }, 'a pod of the pool did not answer; another one is taken')
      }
    }
    return undefined
  }

  /** Nobody waits for its end, and whoever has its answer already is not to lose it over that. */
  async function discard(name: string): Promise<void> {
    await store
      .remove('pods', name, { graceS: 0 })
      .catch((error: unknown) =>
        log.warn({ err: error, pod: name }, 'a pod that is not needed any more was not deleted'),
      )
  }

  async function tell(
    pod: V1Pod,
    proven: ProvenPod,
    request: PackedStartRequest,
    signal?: AbortSignal,
  ): Promise<StartAnswer> {
    const late = AbortSignal.timeout(START_TIMEOUT)
    try {
      return await proven.start(request, signal ? AbortSignal.any([signal, late]) : late)
    } finally {
      telling.delete(pod.metadata!.uid!)
    }
  }

  async function takenBy(key: TargetKey, signal: AbortSignal): Promise<TakenPod | undefined> {
    // Before a pod is taken: a target that was replaced meanwhile is refused here.
    const spec = await specOf(key)
    // A pod that runs can mount nothing more.
    if (spec.storage) return undefined
    const request = await packStartRequest(spec, 'serve')
    const labels = { ...targetLabels(key), [TARGET_LABEL]: key, [SOURCE_LABEL]: 'pool' }
    const claimed = await claim(labels, await ownerOf(key), signal)
    if (!claimed) return undefined
    const { pod } = claimed
    const ready = started(claimed, request).catch((error: Error): Start => {
      log.warn({ err: error, pod: pod.metadata!.name, target: key }, 'a claimed pod did not start its app')
      return { failure: asFailure(brokeOff(error)) }
    })
    return { pod, ready }
  }

  async function started(claimed: ClaimedPod, request: PackedStartRequest): Promise<Start> {
    try {
      const answer = await claimed.tell(request)
      return answer.ready ? { phases: answer.phases } : { failure: asFailure(answer.failure) }
    } catch (error) {
      // Whoever has told it has sent the same.
      if (error instanceof PodToldError) return toldByAnother(claimed.pod)
      throw error
    }
  }

  async function toldByAnother(pod: V1Pod): Promise<Start> {
    const probe = createRunnerProbe(() => undefined, clock)
    let result: ProbeResult | undefined
    await untilReady(
      async (stop) => {
        result = await probe(podAddress(pod, deps.port)!, stop, pod)
        return result.ready || result.failure !== undefined
      },
      { signal: AbortSignal.timeout(START_TIMEOUT), clock },
    )
    return result?.failure ? { failure: result.failure } : { phases: result?.phases ?? [] }
  }

  async function retell(pod: V1Pod): Promise<void> {
    const key = pod.metadata!.labels![TARGET_LABEL]!
    const request = await packStartRequest(await specOf(key), 'serve')
    const { name = '' } = pod.metadata!
    const proven = await provePod(
      podAddress(pod, deps.port)!,
      cameFromPool(pod) ? podKey(secretKey, name) : targetPodKey(secretKey, key),
      AbortSignal.timeout(START_TIMEOUT),
    )
    await tell(pod, proven, request)
    log.info({ pod: name, target: key }, 'told a pod that waited what it is')
  }

  return {
    take: (key, { signal }) => takenBy(key, signal),

    async check(spec, { signal }) {
      const request = await packStartRequest(spec, 'check')
      const claimed = await claim(checkLabels(spec.appId), undefined, signal)
      if (!claimed) return undefined
      const { pod } = claimed
      try {
        const answer = await claimed.tell(request, signal)
        return answer.ready ? { ok: true } : { ok: false, failure: answer.failure }
      } catch (error) {
        signal.throwIfAborted()
        log.warn({ err: error, pod: pod.metadata!.name }, 'a claimed pod did not load its app')
        return { ok: false, failure: brokeOff(error as Error) }
      } finally {
        await discard(pod.metadata!.name!)
      }
    },

    seenWaiting(pod) {
      const uid = pod.metadata!.uid!
      if (telling.has(uid)) return
      const now = clock.now()
      // Several replicas may tell a Deployment's pod at once: it takes one start request, and the others send no contents.
      const until = left.get(uid) ?? (cameFromPool(pod) ? now + CLAIMER_TIME : -Infinity)
      // Few are seen waiting for long; those that were are forgotten with the rest.
      if (left.size > 1_000) left.clear()
      left.set(uid, until)
      if (now <= until) return
      left.set(uid, now + RETELL)
      telling.add(uid)
      retell(pod)
        .catch((error: unknown) => {
          if (error instanceof PodToldError) return
          log.warn({ err: error, pod: pod.metadata!.name }, 'a pod that waits could not be told what it is')
        })
        .finally(() => telling.delete(uid))
    },
  }
}

/** ms for an app of the pool to be ready; the runner gives up earlier, and says why. */
const START_TIMEOUT = 60_000

function canBeTaken(pod: V1Pod): boolean {
  return isPodReady(pod) && !pod.metadata?.deletionTimestamp && pod.status?.podIP !== undefined
}

/** As a merge patch takes labels away. */
function without(labels: Record<string, string>): Record<string, null> {
  return Object.fromEntries(Object.keys(labels).map((name) => [name, null]))
}

function brokeOff({ message }: Error): ReturnType<typeof plainFailure> {
  return plainFailure('FP_CLUSTER_POD', `The app's pod ended while it started: ${message}.`)
}
