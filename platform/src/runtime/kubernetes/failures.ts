import { ScalerError, systemClock, type Clock, type Failure, type TargetState } from '@fp/scaler'
import type { V1Pod } from '@kubernetes/client-node'
import {
  askPod,
  KubernetesApiError,
  phasesOf,
  podFailure,
  type KubernetesFailureCode,
  type KubernetesFailureDetails,
  type Probe,
} from '@fp/scaler/kubernetes'
import { plainFailure, type AppFailureReport } from '../runtime.ts'

/** ms to wait for a pod's answer before it is asked again: an answer may come late, or be lost. */
const ANSWER_PATIENCE = 5_000

/**
 * Asks the pod API for readiness, `/_fp/ready`: 204, or 500 with the reason why the app could not start. A pod of the pool
 * that has no start request yet answers 409; then `waiting` is called.
 */
export function createRunnerProbe(waiting: (pod: V1Pod) => void, clock: Clock = systemClock): Probe {
  return async (address, signal, pod) => {
    const late = new AbortController()
    const cancel = clock.schedule(ANSWER_PATIENCE, () => late.abort())
    const either = AbortSignal.any([signal, late.signal])
    const { status, timing, text } = await askPod(address, '/_fp/ready', either).finally(cancel)
    if (status === 204) return { ready: true, ...(timing ? { phases: phasesOf(timing) } : {}) }
    if (status === 409) waiting(pod)
    const report = status === 500 ? parseReport(text) : undefined
    return { ready: false, ...(report ? { failure: asFailure(report) } : {}) }
  }
}

/** Replaces the driver's failure by a message for the app's owner. */
export function withOwnersMessage(state: TargetState): TargetState {
  const { failure } = state
  return failure ? { ...state, failure: asFailure(reportOf(failure)) } : state
}

/** Throws the error with a message for owners, without the cluster's addresses and names. The cause is for the log. */
export function throwOwnersMessage(error: Error): never {
  if (!(error instanceof KubernetesApiError)) throw error
  const failure = asFailure(refusalOf(error))
  throw new ScalerError('SCALER_TARGET_FAILED', failure.message, { failure, cause: error })
}

/** Why the cluster did not accept a request. */
export function refusalOf(error: Error): AppFailureReport {
  if (!(error instanceof KubernetesApiError)) return plainFailure('FP_CLUSTER_POD', error.message)
  if (error.status === 403 && error.message.includes('exceeded quota')) {
    return plainFailure(
      'FP_CLUSTER_FULL',
      'The cluster has no room for the app. Put others to sleep, or tell its admin.',
    )
  }
  const why = error.status === 0 ? 'does not answer' : 'refuses it'
  return plainFailure(
    'FP_CLUSTER_POD',
    `The cluster ${why}, so the app cannot be started or stopped now. Tell its admin.`,
  )
}

/** The reports for the driver's codes. Where the cluster's own message does not help owners, it is replaced. */
const REPORTS: Record<KubernetesFailureCode, (failure: Failure) => AppFailureReport> = {
  KUBERNETES_CRASHED: ({ details }) => {
    const { exitCode } = details as KubernetesFailureDetails
    return plainFailure('FP_APP_CRASHED', `The app ended itself with exit code ${exitCode}.`)
  },
  KUBERNETES_OUT_OF_MEMORY: () =>
    plainFailure('FP_APP_OUT_OF_MEMORY', 'The app used more than its memory and was ended.'),
  KUBERNETES_IMAGE_NOT_PULLED: ({ message }) =>
    plainFailure(
      'FP_CLUSTER_IMAGE',
      `The cluster cannot get the image that runs apps; tell its admin. ${message}`,
    ),
  KUBERNETES_NOT_CONFIGURED: ({ message }) =>
    plainFailure('FP_CLUSTER_POD', `The cluster cannot start the app's pod; tell its admin. ${message}`),
  KUBERNETES_UNSCHEDULABLE: ({ message }) =>
    plainFailure(
      'FP_CLUSTER_FULL',
      /persistent ?volume|volume node affinity/i.test(message)
        ? `The cluster has no volume for the app's storage. Tell its admin. ${message}`
        : `The cluster has no room for the app. Try again later, or tell its admin. ${message}`,
    ),
  KUBERNETES_QUOTA_EXCEEDED: ({ message }) =>
    plainFailure(
      'FP_CLUSTER_FULL',
      `The cluster has no room for the app. Put others to sleep, or tell its admin. ${message}`,
    ),
  KUBERNETES_NOT_CREATED: ({ message }) =>
    plainFailure(
      'FP_CLUSTER_POD',
      `The cluster does not let the app's pod be made; tell its admin. ${message}`,
    ),
  KUBERNETES_EVICTED: ({ message }) =>
    plainFailure(
      'FP_APP_EVICTED',
      `The app's machine ran short and ended it; the next request starts it again. ${message}`,
    ),
  KUBERNETES_NOT_READY: ({ message }) => plainFailure('FP_APP_CRASHED', message),
}

function reportOf(failure: Failure): AppFailureReport {
  const details = failure.details as (KubernetesFailureDetails & AppFailureReport) | undefined
  // The runner's own report, from its pod API or from the container's termination message.
  if (details?.traceback !== undefined) return details
  const lastWords = details?.terminationMessage && parseReport(details.terminationMessage)
  return (
    lastWords ||
    (REPORTS[failure.code as KubernetesFailureCode]?.(failure) ?? plainFailure(failure.code, failure.message))
  )
}

/**
 * Why a pod or its container ended without a request to do so; undefined where it runs or was stopped. The driver does not
 * report the end of a pod that requests found dead: it gave the pod up before the cluster noticed.
 */
export function unaskedEnd(pod: V1Pod): AppFailureReport | undefined {
  const failure = podFailure(pod)
  if (!failure) return undefined
  const { terminationMessage } = (failure.details ?? {}) as Partial<KubernetesFailureDetails>
  // The runner writes its report only if nobody has stopped it.
  const unasked =
    failure.code === 'KUBERNETES_EVICTED' ||
    failure.code === 'KUBERNETES_OUT_OF_MEMORY' ||
    (terminationMessage !== undefined && parseReport(terminationMessage) !== undefined)
  return unasked ? reportOf(failure) : undefined
}

export function asFailure(report: AppFailureReport): Failure {
  return { code: report.code, message: report.message, details: report }
}

/** Undefined if the text is not a report: an app's container may write anything. */
export function parseReport(text: string): AppFailureReport | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { code, message, traceback, file, line } = value as Record<string, unknown>
  if (typeof code !== 'string' || typeof message !== 'string') return undefined
  return {
    code,
    message,
    traceback: typeof traceback === 'string' && traceback ? traceback : null,
    file: typeof file === 'string' ? file : null,
    line: typeof line === 'number' ? line : null,
  }
}
