import type { V1ContainerStatus, V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { Failure } from '../../types.ts'

/** The codes of the failures that this driver reports. */
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

/** Details of a failure, for an embedder that can interpret them. */
export interface KubernetesFailureDetails {
  readonly pod?: string
  /** The reason given by Kubernetes, such as `CrashLoopBackOff`. */
  readonly reason: string
  readonly exitCode?: number
  /** The container's termination message. */
  readonly terminationMessage?: string
}

/** The kubelet's reasons if an image cannot be pulled. */
const IMAGE_REASONS = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]
/** The kubelet's reasons if a container cannot be created from the pod's specification. */
const CONFIG_REASONS = [
  'CreateContainerConfigError',
  'CreateContainerError',
  'PreCreateHookError',
  'PreStartHookError',
  'PostStartHookError',
  'RunContainerError',
]
/** The container runtime's reasons if the command cannot be started. The exit code then does not come from the container. */
const START_REASONS = ['StartError', 'ContainerCannotRun']

/**
 * Returns why a pod is not going to be ready, or undefined. Depends only on what the kubelet and the scheduler report, not on
 * how long the start takes.
 */
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
      `The pod fits on no node: ${unscheduled.message ?? 'the scheduler gave no reason'}`,
      { pod: name, reason: 'Unschedulable' },
    )
  }
  // An init container that has ended with exit code 0 is not a failure.
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
      `The image cannot be pulled: ${waiting.message ?? waiting.reason}`,
      { pod, reason: waiting.reason },
    )
  }
  if (waiting?.reason && CONFIG_REASONS.includes(waiting.reason)) {
    return failure(
      'KUBERNETES_NOT_CONFIGURED',
      `The container cannot be created: ${waiting.message ?? waiting.reason}`,
      { pod, reason: waiting.reason },
    )
  }
  // A container that waits for its restart has ended as well. The driver does not wait for a restart that may succeed.
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

/** Returns why the pods of a Deployment cannot be created (a quota, or a policy that forbids them), or undefined. */
export function deploymentFailure({ metadata, status }: V1Deployment): Failure | undefined {
  // The status refers to an older specification, perhaps with another number of replicas.
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
    : failure('KUBERNETES_NOT_CREATED', `The pod cannot be created: ${why}`, {
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
