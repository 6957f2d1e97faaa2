import { errorInfo } from '@fp/sdk/errors'
import { FpError } from '../../errors.ts'
import { plainFailure, type AppFailureReport } from '../../runtime/runtime.ts'
import { TargetFailed } from '../../runtime/targets.ts'
import type { DeploymentEnd } from './types.ts'

/** How long a deployment may wait for its target to answer ready, in ms: more than a target's own readiness timeout. */
export const START_LIMIT = 120_000

/** Why a deployment failed, as its owner reads it. Undefined for any other error, which is a fault of the platform. */
export function failureOf(error: unknown): AppFailureReport | undefined {
  if (error instanceof TargetFailed) return error.failure
  if (error instanceof FpError) {
    return error.code === 'FP_APP_NOT_FOUND' ? plain(appDeleted()) : plain(error)
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return plainFailure('FP_WAKE_TIMEOUT', `The app did not answer ready within ${START_LIMIT / 1000} s.`)
  }
  return undefined
}

/** Failures that say nothing about whether the version can start, besides the temporary ones. */
const NOT_TRIED: readonly string[] = [
  'FP_SUPERSEDED',
  'FP_APP_DELETED',
  'FP_UNAVAILABLE',
  'FP_INTERNAL',
  'FP_AWAKE_LIMIT',
  'FP_MEMORY_FULL',
  'FP_QUEUE_FULL',
]

/** The versions that did not start in any of these deployments. */
export function failedToStart(ends: readonly DeploymentEnd[]): Set<number> {
  const failed = new Set<number>()
  for (const { version, failure } of ends)
    if (failure !== null && !NOT_TRIED.includes(failure) && !errorInfo(failure)?.isTemporary)
      failed.add(version)
  for (const { version, failure } of ends) if (failure === null) failed.delete(version)
  return failed
}

export function internalFailure(): AppFailureReport {
  return plainFailure(
    'FP_INTERNAL',
    'The platform could not start the app because of a fault of its own. Deploy again.',
  )
}

export function appDeleted(): FpError {
  return new FpError('FP_APP_DELETED', 'The app was deleted while it was being deployed.')
}

export function superseded(): FpError {
  return new FpError('FP_SUPERSEDED', 'A newer deployment went live before this one could.')
}

export function stopping(): FpError {
  return new FpError('FP_UNAVAILABLE', 'The platform was stopped before the app was ready. Deploy again.')
}

/** The error of a deployment that was left unfinished when the platform was killed. */
export function interrupted(): FpError {
  return new FpError('FP_UNAVAILABLE', 'The platform ended while it was deploying the app. Deploy again.')
}

function plain(error: FpError): AppFailureReport {
  return plainFailure(error.code, error.message)
}
