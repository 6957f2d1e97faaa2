import type { V1ContainerStatus, V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { Failure } from '../../types.ts'

/** The codes of the failures that this driver tells. */
export type KubernetesFailureCode =
  | 'KUBERNETES_CRASHED'
  | 'KUBERNETES_OUT_OF_MEMORY'
  | 'KUBERNETES_IMAGE_NOT_PULLED'
  | 'KUBERNETES_NOT_CONFIGURED'
  | 'KUBERNETES_UNSCHEDULABLE'
  | 'KUBERNETES_QUOTA_EXCEEDED'
  | 'KUBERNETES_NOT_CREATED'
  | 'KUBERNETES_EVICTED'
  | 'KUBERNETES_NOT_READY'

/** What is known of it besides: for whoever knows what the container's last words mean. */
export interface KubernetesFailureDetails {
  readonly pod?: string
  /** Kubernetes' word for it, such as `CrashLoopBackOff`. */
  readonly reason: string
  readonly exitCode?: number
  /** What the container left in its termination message. */
  readonly terminationMessage?: string
}

/** kubelet's words for an image that it does not get. */
const IMAGE_REASONS = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]
/** And for a container that cannot be made of what the pod says. */
const CONFIG_REASONS = [
  'CreateContainerConfigError',
  'CreateContainerError',
  'PreCreateHookError',
  'PreStartHookError',
  'PostStartHookError',
  'RunContainerError',
]
/** The runtime's words, with an exit code that is none of the container's: there is nothing of that name to run. */
const START_REASONS = ['StartError', 'ContainerCannotRun']

/** Why a pod is not going to be ready, if so. Judges what kubelet and the scheduler say, not how long it takes. */
export function podFailure(pod: V1Pod): Failure | undefined {
  const name = pod.metadata?.name ?? ''
  const { status } = pod
  if (status?.phase === 'Failed' && status.reason) {
    return failure(
      'KUBERNETES_EVICTED',
      `The pod was ended by its node: ${status.message ?? status.reason}`,
      {
        pod: name,
        reason: status.reason,
      },
    )
  }
  const unscheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  if (unscheduled?.status === 'False' && unscheduled.reason === 'Unschedulable') {
    return failure(
      'KUBERNETES_UNSCHEDULABLE',
      `No node takes the pod: ${unscheduled.message ?? 'the scheduler does not say why'}`,
      { pod: name, reason: 'Unschedulable' },
    )
  }
  // An init container may end well.
  const initial = (status?.initContainerStatuses ?? []).filter(
    ({ state }) => state?.terminated?.exitCode !== 0,
  )
  for (const container of [...initial, ...(status?.containerStatuses ?? [])]) {
    const found = containerFailure(name, container)
    if (found) return found
  }
  return undefined
}

function containerFailure(pod: string, { state, lastState }: V1ContainerStatus): Failure | undefined {
  const ended = state?.terminated ?? lastState?.terminated
  const waiting = state?.waiting
  if (waiting?.reason && IMAGE_REASONS.includes(waiting.reason)) {
    return failure(
      'KUBERNETES_IMAGE_NOT_PULLED',
      `The image cannot be had: ${waiting.message ?? waiting.reason}`,
      { pod, reason: waiting.reason },
    )
  }
  if (waiting?.reason && CONFIG_REASONS.includes(waiting.reason)) {
    return failure(
      'KUBERNETES_NOT_CONFIGURED',
      `The container cannot be made: ${waiting.message ?? waiting.reason}`,
      { pod, reason: waiting.reason },
    )
  }
  // One that is being restarted has ended too: whether it fares better the next time is not what is waited for.
  if (!ended || state?.running) return undefined
  const details: KubernetesFailureDetails = {
    pod,
    reason: waiting?.reason ?? ended.reason ?? 'Error',
    exitCode: ended.exitCode,
    ...(ended.message ? { terminationMessage: ended.message } : {}),
  }
  if (ended.reason === 'OOMKilled') {
    return failure(
      'KUBERNETES_OUT_OF_MEMORY',
      'The container used more than its memory and was ended.',
      details,
    )
  }
  if (START_REASONS.includes(ended.reason ?? '')) {
    return failure(
      'KUBERNETES_NOT_CONFIGURED',
      `The container cannot be started: ${ended.message ?? ended.reason}`,
      {
        pod,
        reason: ended.reason!,
      },
    )
  }
  const words = ended.message ? `: ${ended.message.trim().split('\n').at(-1)}` : '.'
  return failure(
    'KUBERNETES_CRASHED',
    `The container ended with exit code ${ended.exitCode}${words}`,
    details,
  )
}

/** Why a Deployment's pods cannot even be made, if so: a quota, or a policy that forbids them. */
export function deploymentFailure({ metadata, status }: V1Deployment): Failure | undefined {
  // What it said of another number of replicas is not known to be true of this one.
  if ((status?.observedGeneration ?? 0) < (metadata?.generation ?? 0)) return undefined
  const refused = status?.conditions?.find(
    ({ type, status }) => type === 'ReplicaFailure' && status === 'True',
  )
  if (!refused) return undefined
  const why = refused.message ?? refused.reason ?? 'no reason was given'
  return /exceeded quota/.test(why)
    ? failure('KUBERNETES_QUOTA_EXCEEDED', `The namespace has no room for the pod: ${why}`, {
        reason: 'ExceededQuota',
      })
    : failure('KUBERNETES_NOT_CREATED', `The pod may not be made: ${why}`, {
        reason: refused.reason ?? 'FailedCreate',
      })
}

export function failure(
  code: KubernetesFailureCode,
  message: string,
  details: KubernetesFailureDetails,
): Failure {
  return { code, message, details }
}
