import type { V1Pod } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import type { AppFailureReport } from '../runtime.ts'
import { unaskedEnd } from './failures.ts'
import type { LogCollector } from './log-collector.ts'
import { TARGET_LABEL } from './names.ts'

/** The pods of apps, by the latest news of the cluster. */
export interface AppPods {
  /** At each change of a pod; `gone`: it was deleted. */
  seen(pod: V1Pod, gone: boolean): void
  targetOf(podName: string): TargetKey | undefined
  /** Tells the collector of all pods, now and from now on, until the signal is aborted. */
  report(collector: LogCollector, signal: AbortSignal): Promise<void>
}

/** `crashed`: the pod of a target ended by itself. */
export function createAppPods(crashed: (key: TargetKey, failure: AppFailureReport) => void): AppPods {
  /** By uid. Each replica has them, for whoever leads reads the logs of all. */
  const pods = new Map<string, V1Pod>()
  let collector: LogCollector | undefined

  return {
    seen(pod, gone) {
      const { uid = '', labels } = pod.metadata!
      const before = pods.get(uid)
      // An end counts where the pod was seen alive: not what ended long before the platform started.
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
