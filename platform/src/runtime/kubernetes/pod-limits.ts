import type { V1ResourceRequirements } from '@kubernetes/client-node'
import { amountOf } from '../../settings.ts'
import { DEFAULT_LIMITS, MIB, startDeadline, type AppLimits } from '../limits.ts'
import type { AppSpec } from '../runtime.ts'
import type { AppResources } from './settings.ts'

/** As a Kubernetes quantity. */
export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / MIB)}Mi`
}

/** Which of an app's limits a pod has from its manifest; the runner sets the others in the container. */
export interface PodLimits {
  readonly resources: V1ResourceRequirements
  /** Of /tmp, a Kubernetes quantity. */
  readonly tmpSize: string
  /** Seconds until the pod must have answered ready. */
  readonly startDeadline: number
}

/** `limits`: where the app's limits differ from the admin's settings for all apps. */
export function podLimits(resources: AppResources, limits: Partial<AppLimits>): PodLimits {
  const memory = limits.memoryBytes === undefined ? resources.memoryLimit : mebibytes(limits.memoryBytes)
  const cpu = limits.cpus === undefined ? resources.cpuLimit : (limits.cpus ?? undefined)?.toString()
  const { tmpBytes, startSeconds } = { ...DEFAULT_LIMITS, ...limits }
  return {
    resources: {
      requests: {
        cpu: smaller(resources.cpuRequest, cpu),
        memory: smaller(resources.memoryRequest, memory),
      },
      limits: { memory, ...(cpu === undefined ? {} : { cpu }) },
    },
    tmpSize: mebibytes(tmpBytes),
    startDeadline: startDeadline({ startSeconds }),
  }
}

/** Kubernetes refuses a pod that requests more than its limit. */
function smaller(request: string, limit: string | undefined): string {
  return limit !== undefined && amountOf(limit) < amountOf(request) ? limit : request
}

/** Whether a pod of the warm pool can run the app. The pod runs already, so its volumes and resources cannot change. */
export function fitsPoolPod({
  storage,
  artifacts,
  limits,
}: Pick<AppSpec, 'storage' | 'artifacts' | 'limits'>): boolean {
  const { memoryBytes, cpus, tmpBytes } = limits
  return !storage && artifacts.length === 0 && [memoryBytes, cpus, tmpBytes].every((one) => one === undefined)
}
