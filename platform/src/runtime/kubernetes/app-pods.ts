import type { V1Pod } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import type { AppFailureReport } from '../runtime.ts'
import { unaskedEnd } from './failures.ts'
import type { LogCollector } from './log-collector.ts'
import { TARGET_LABEL } from './names.ts'

/** The pods of apps as the cluster last reported them. */
export interface AppPods {
  /** Call it at each change of a pod; `gone`: the pod was deleted. */
  seen(pod: V1Pod, gone: boolean): void
  targetOf(podName: string): TargetKey | undefined
  /** Reports all pods and their changes to the collector until the signal aborts. */
  report(collector: LogCollector, signal: AbortSignal): Promise<void>
}

/** `crashed` is called when the pod of a target has ended by itself. */
export function createAppPods(crashed: (key: TargetKey, failure: AppFailureReport) => void): AppPods {
  /** By uid. Each replica tracks all pods, as the leader reads the logs of all of them. */
  const pods = new Map<string, V1Pod>()
  let collector: LogCollector | undefined

  return {
    seen(pod, gone) {
      const { uid = '', labels } = pod.metadata!
      const before = pods.get(uid)
      // Counts the end only if the pod was seen alive, so not one long before the platform's start.
      const end = before && !unaskedEnd(before) ? unaskedEnd(pod) : undefined
      if (end) crashed(labels![TARGET_LABEL]!, end)
      if (gone) pods.delete(uid)
      else pods.set(uid, pod)
      if (gone) collector?.gone(pod)
      else collector?.seen(pod)
    },

    targetOf: (podName) =>
      [...pods.values()].find(({ metadata }) => metadata!.name === podName)?.metadata!.labels![TARGET_LABEL],

    async report(to, signal) {
      collector = to
      for (const pod of pods.values()) to.seen(pod)
      try {
        await aborted(signal)
      } finally {
        collector = undefined
      }
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
