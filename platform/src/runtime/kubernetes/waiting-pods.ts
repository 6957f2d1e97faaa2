import type { V1Pod } from '@kubernetes/client-node'
import type { Clock, TargetKey } from '@fp/scaler'
import { podAddress } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import type { AppSpec } from '../runtime.ts'
import { cameFromPool, TARGET_LABEL } from './names.ts'
import { PodClaimedError, provePod } from './pod-api.ts'
import { podKey, targetPodKey } from './pod-keys.ts'
import type { PoolClaims } from './pool-claims.ts'
import { packStartRequest } from './start-request.ts'

export interface WaitingPodsDeps {
  readonly claims: Pick<PoolClaims, 'isStarting' | 'start'>
  /** The port on which pods answer. */
  readonly port: number
  readonly secretKey: Buffer
  readonly clock: Clock
  specOf(key: TargetKey): Promise<AppSpec>
  readonly log: Logger
}

/** ms for which the replica that claimed a pod is given time to send the start request; usually it does at once. */
const CLAIMER_TIME = 2_000
/** ms between two attempts of the same replica. */
const RETRY = 5_000
/** How many pods are remembered. More of them wait only if something is wrong. */
const MAX_REMEMBERED = 1_000

/**
 * Sends start requests to pods of targets that wait for one: to pods of Deployments at once, to claimed pods if the replica
 * that claimed them has not done so, as it may be dead. Call the result each time a pod is seen waiting.
 */
export function createWaitingPods(deps: WaitingPodsDeps): (pod: V1Pod) => void {
  const { claims, secretKey, clock, log } = deps
  /** By uid: until when a pod is left to other replicas. */
  const leftUntil = new Map<string, number>()
  const underWay = new Set<string>()

  async function sendStartRequest(pod: V1Pod): Promise<void> {
    const { name = '', uid = '', labels } = pod.metadata!
    const key = labels![TARGET_LABEL]!
    const request = await packStartRequest(await deps.specOf(key), 'serve')
    const proven = await provePod(
      podAddress(pod, deps.port)!,
      cameFromPool(pod) ? podKey(secretKey, name) : targetPodKey(secretKey, key),
      AbortSignal.timeout(request.timeout),
    )
    await claims.start(uid, proven, request)
    log.info({ pod: name, target: key }, 'sent a start request to a pod that waited')
  }

  return (pod) => {
    const { uid = '', name } = pod.metadata!
    if (claims.isStarting(uid) || underWay.has(uid)) return
    const now = clock.now()
    // Several replicas may send to a Deployment's pod at once: it accepts one start request, and the others send no contents.
    const until = leftUntil.get(uid) ?? (cameFromPool(pod) ? now + CLAIMER_TIME : -Infinity)
    if (leftUntil.size > MAX_REMEMBERED) leftUntil.clear()
    leftUntil.set(uid, until)
    if (now <= until) return
    leftUntil.set(uid, now + RETRY)
    underWay.add(uid)
    sendStartRequest(pod)
      .catch((error: unknown) => {
        if (error instanceof PodClaimedError) return
        log.warn({ err: error, pod: name }, 'a pod that waits could not be sent its start request')
      })
      .finally(() => underWay.delete(uid))
  }
}
