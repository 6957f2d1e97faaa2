import type { KubernetesObject, V1Pod } from '@kubernetes/client-node'
import type { Clock } from '@fp/scaler'
import { createInformer, isPodOver, type Informer, type KubernetesApi } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import type { RuntimeBinding } from '../runtime.ts'
import type { AppPods } from './app-pods.ts'
import { createLogCollector } from './log-collector.ts'
import type { LogStore } from './log-store.ts'
import { cameFromPool, TARGET_LABEL } from './names.ts'
import type { TargetObjects } from './objects.ts'
import { reconcile } from './reconcile.ts'
import { keepPoolFilled } from './refill.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore, WatchedKind } from './store.ts'

export interface SingletonsDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly secretKey: Buffer
  readonly objects: TargetObjects
  readonly logs: LogStore
  readonly appPods: Pick<AppPods, 'report'>
  /** The pods of the pool that wait. */
  readonly waiting: Pick<Informer<V1Pod>, 'objects'>
  readonly binding: Pick<RuntimeBinding, 'specOf' | 'liveTargets'>
  readonly clock: Clock
  /** Called when a watch has broken off. It is opened again. */
  failed(error: Error): void
  readonly log: Logger
}

/** The work that the leader does for all replicas, by its name. Each runs until its signal is aborted. */
export function createSingletons(
  deps: SingletonsDeps,
): readonly (readonly [name: string, run: (signal: AbortSignal) => Promise<void>])[] {
  const { api, store, settings, objects, logs, binding, clock, log } = deps

  /** Deletes a pod of the pool that has ended: it never runs again, and its failure would hide later ones of its target. */
  function removeIfOver(pod: V1Pod): void {
    if (!isPodOver(pod) || !cameFromPool(pod)) return
    const { name = '' } = pod.metadata!
    store
      .remove('pods', name)
      .catch((error: unknown) => log.warn({ err: error, pod: name }, 'a pod that has ended was not deleted'))
  }

  async function collectLogs(signal: AbortSignal): Promise<void> {
    await using collector = createLogCollector({ api, store, logs, clock, onRead: removeIfOver, log })
    await deps.appPods.report(collector, signal)
  }

  const follow = (kind: WatchedKind, deleted: () => void): Promise<Informer<KubernetesObject>> =>
    createInformer<KubernetesObject>({
      api,
      path: store.path(kind),
      labelSelector: TARGET_LABEL,
      clock,
      changed: () => undefined,
      deleted,
      failed: (error) => deps.failed(error),
    })
  const refilling = { store, settings, secretKey: deps.secretKey, pods: deps.waiting, clock, log }
  const reconciling = {
    ...{ store, settings, objects, clock, follow, log },
    liveTargets: () => binding.liveTargets(),
    specOf: binding.specOf.bind(binding),
  }
  return [
    ['log collector', collectLogs],
    ['warm pool', (signal) => keepPoolFilled(refilling, signal)],
    ['reconciler', (signal) => reconcile(reconciling, signal)],
  ]
}
