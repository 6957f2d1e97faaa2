import type { V1OwnerReference, V1Pod } from '@kubernetes/client-node'
import { untilReady, type Clock, type TargetKey } from '@fp/scaler'
import { podAddress, type ProbeResult, type SparePods, type TakenPod } from '@fp/scaler/kubernetes'
import { plainFailure, type AppSpec, type CheckResult } from '../runtime.ts'
import { asFailure, createRunnerProbe } from './failures.ts'
import { checkLabels, SOURCE_LABEL, targetLabels, TARGET_LABEL } from './names.ts'
import { PodClaimedError } from './pod-api.ts'
import { fitsPoolPod } from './pod-limits.ts'
import { PoolClaims, type ClaimedPod, type PoolClaimsDeps } from './pool-claims.ts'
import { packStartRequest, type PackedStartRequest } from './start-request.ts'
import { createWaitingPods } from './waiting-pods.ts'

export interface PoolDeps extends PoolClaimsDeps {
  readonly clock: Clock
  specOf(key: TargetKey): Promise<AppSpec>
  /** The owner of the target's pods. */
  ownerReferenceOf(key: TargetKey): Promise<V1OwnerReference>
}

/** Pods that have imported the frameworks and wait for a start request. */
export interface Pool extends SparePods {
  /** Loads an app in a pod of the pool; undefined if no pod waits or the app needs a pod of its own. */
  check(spec: AppSpec, options: { signal: AbortSignal }): Promise<CheckResult | undefined>
  /** A target's pod was seen waiting; see createWaitingPods. */
  seenWaiting(pod: V1Pod): void
}

type Start = Awaited<TakenPod['ready']>

export function createPool(deps: PoolDeps): Pool {
  const { clock, specOf, log } = deps
  const claims = new PoolClaims(deps)

  async function take(key: TargetKey, signal: AbortSignal): Promise<TakenPod | undefined> {
    // Reads the spec before it claims a pod: for a target that was replaced meanwhile this rejects.
    const spec = await specOf(key)
    if (!fitsPoolPod(spec)) return undefined
    const request = await packStartRequest(spec, 'serve')
    const labels = { ...targetLabels(key), [TARGET_LABEL]: key, [SOURCE_LABEL]: 'pool' }
    const claimed = await claims.claim(labels, await deps.ownerReferenceOf(key), signal)
    if (!claimed) return undefined
    const { pod } = claimed
    const ready = startOf(claimed, request).catch((error: Error): Start => {
      log.warn({ err: error, pod: pod.metadata!.name, target: key }, 'a claimed pod did not start its app')
      return { failure: asFailure(endedFailure(error)) }
    })
    return { pod, ready }
  }

  async function startOf(claimed: ClaimedPod, request: PackedStartRequest): Promise<Start> {
    try {
      const answer = await claimed.start(request)
      return answer.ready ? { phases: answer.phases } : { failure: asFailure(answer.failure) }
    } catch (error) {
      // Another replica has sent the same request.
      if (error instanceof PodClaimedError) return startedByAnother(claimed.pod, request)
      throw error
    }
  }

  async function startedByAnother(pod: V1Pod, { timeout }: PackedStartRequest): Promise<Start> {
    const probe = createRunnerProbe(() => undefined, clock)
    let result: ProbeResult | undefined
    await untilReady(
      async (stop) => {
        result = await probe(podAddress(pod, deps.port)!, stop, pod)
        return result.ready || result.failure !== undefined
      },
      { signal: AbortSignal.timeout(timeout), clock },
    )
    return result?.failure ? { failure: result.failure } : { phases: result?.phases ?? [] }
  }

  return {
    take: (key, { signal }) => take(key, signal),

    async check(spec, { signal }) {
      if (!fitsPoolPod(spec)) return undefined
      const request = await packStartRequest(spec, 'check')
      const claimed = await claims.claim(checkLabels(spec.appId), undefined, signal)
      if (!claimed) return undefined
      const { name = '' } = claimed.pod.metadata!
      try {
        const answer = await claimed.start(request, signal)
        return answer.ready ? { ok: true } : { ok: false, failure: answer.failure }
      } catch (error) {
        signal.throwIfAborted()
        log.warn({ err: error, pod: name }, 'a claimed pod did not load its app')
        return { ok: false, failure: endedFailure(error as Error) }
      } finally {
        await claims.discard(name)
      }
    },

    seenWaiting: createWaitingPods({ ...deps, claims }),
  }
}

function endedFailure({ message }: Error): ReturnType<typeof plainFailure> {
  return plainFailure('FP_CLUSTER_POD', `The app's pod ended while it started: ${message}.`)
}
