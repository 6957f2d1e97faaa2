import type { TargetKey } from '@fp/scaler'
import { createInformer, type Informer, type KubernetesApi } from '@fp/scaler/kubernetes'
import { systemClock } from '@fp/scaler'
import type { KubernetesObject, V1Deployment } from '@kubernetes/client-node'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { AppSpec } from '../runtime.ts'
import { podTemplateOf, settingsHash } from './manifests.ts'
import { objectName, TARGET_LABEL, TEMPLATE_ANNOTATION } from './names.ts'
import type { TargetObjects } from './objects.ts'
import type { KubernetesSettings } from './settings.ts'
import type { Kind, ObjectStore } from './store.ts'

export interface ReconcileDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly objects: TargetObjects
  /** What serves the apps by the database's word. */
  liveTargets(): Promise<readonly TargetKey[]>
  specOf(key: TargetKey): Promise<AppSpec>
  readonly log: Logger
}

/** What a target must have, each under the target's name. */
const KINDS: readonly Kind[] = ['deployments', 'secrets', 'services']
/** Everything is looked at anew after this long without news, ms. */
const SWEEP = 60_000
/** News comes in bursts; ms. */
const SETTLE = 200
/** ms for which a Deployment that is not live may be one that is about to be. */
const ABANDONED = 10 * 60_000

/**
 * Makes the cluster what the database says, until the signal fires: what is missing is made again, what was made with
 * other settings is changed, what belongs to nothing is removed. It looks at what is, not at what happened: news only says
 * when to look. For the leader alone.
 */
export async function reconcile(deps: ReconcileDeps, signal: AbortSignal): Promise<void> {
  const { api, store, log } = deps
  await using watches = new AsyncDisposableStack()
  let news = Promise.withResolvers<void>()
  const there = new Map<Kind, Informer<KubernetesObject>>()
  for (const kind of KINDS) {
    const informer = await createInformer<KubernetesObject>({
      api,
      path: store.path(kind),
      labelSelector: TARGET_LABEL,
      clock: systemClock,
      changed: () => undefined,
      deleted: () => news.resolve(),
      failed: (error) =>
        log.warn({ err: error }, 'lost sight of what the apps have in the cluster; trying again'),
    })
    there.set(kind, watches.use(informer))
  }
  while (!signal.aborted) {
    news = Promise.withResolvers()
    await sweep(deps, there).catch((error: unknown) =>
      log.warn({ err: error }, 'the cluster could not be reconciled; trying again'),
    )
    const stop = new AbortController()
    const over = AbortSignal.any([signal, stop.signal])
    await Promise.race([news.promise, delay(SWEEP, undefined, { signal: over }).catch(() => undefined)])
    stop.abort()
    await delay(SETTLE, undefined, { signal }).catch(() => undefined)
  }
}

async function sweep(
  deps: ReconcileDeps,
  there: ReadonlyMap<Kind, Informer<KubernetesObject>>,
): Promise<void> {
  const { objects, log } = deps
  const live = new Set(await deps.liveTargets())
  const has = (kind: Kind, key: TargetKey): boolean => there.get(kind)!.get(objectName(key)) !== undefined
  for (const key of live) {
    const missing = KINDS.filter((kind) => !has(kind, key))
    if (missing.length > 0) {
      log.warn({ target: key, missing }, 'an app has lost something in the cluster; it is made again')
      objects.forget(key)
      await objects.ensure(key)
    } else await renew(deps, there.get('deployments')!.get(objectName(key))!)
  }
  for (const deployment of there.get('deployments')!.objects()) {
    const { labels, creationTimestamp } = deployment.metadata!
    const key = labels![TARGET_LABEL]!
    const age = Date.now() - new Date(creationTimestamp!).getTime()
    if (!live.has(key) && age > ABANDONED) await objects.remove(key)
  }
}

/** Another image or other limits since it was made. Pods that run are replaced one by one; those asleep start with the new. */
async function renew({ store, settings, specOf }: ReconcileDeps, deployment: V1Deployment): Promise<void> {
  const { name, labels, annotations } = deployment.metadata!
  const hash = settingsHash(settings)
  if (annotations?.[TEMPLATE_ANNOTATION] === hash) return
  await store.patch('deployments', name!, {
    metadata: { annotations: { [TEMPLATE_ANNOTATION]: hash } },
    spec: { template: podTemplateOf(await specOf(labels![TARGET_LABEL]!), settings) },
  })
}
