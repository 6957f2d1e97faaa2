import type { Clock, TargetKey } from '@fp/scaler'
import { isPodOver, isPodReady, type Informer } from '@fp/scaler/kubernetes'
import type { KubernetesObject, V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { Logger } from 'pino'
import type { AppSpec } from '../runtime.ts'
import { isMadeWith, podTemplateOf, settingsHash } from './manifests.ts'
import {
  cameFromPool,
  checkLabels,
  objectName,
  poolLabels,
  ROLE_LABEL,
  TARGET_LABEL,
  TEMPLATE_ANNOTATION,
} from './names.ts'
import type { TargetObjects } from './objects.ts'
import { pause } from '../../pause.ts'
import type { KubernetesSettings } from './settings.ts'
import { Since } from './since.ts'
import type { ObjectStore, WatchedKind } from './store.ts'

export interface ReconcileDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly objects: TargetObjects
  readonly clock: Clock
  /** Watches all objects of a kind that belong to targets. Rejects when they cannot be listed. */
  follow(kind: WatchedKind, deleted: () => void): Promise<Informer<KubernetesObject>>
  /** The targets that serve the apps, read from the database. */
  liveTargets(): Promise<readonly TargetKey[]>
  specOf(key: TargetKey): Promise<AppSpec>
  readonly log: Logger
}

/** The objects that a target must have, each under the target's name. */
const KINDS: readonly WatchedKind[] = ['deployments', 'secrets', 'services']
/** ms between two sweeps if nothing is deleted meanwhile. */
const SWEEP = 60_000
/** ms until the next sweep when something failed. */
const RETRY = 5_000
/** ms between two pods that are stopped because they were made with other settings: a node can start only few pods at once. */
const RENEWAL = 3_000
/** ms to wait after a deletion, as deletions come in bursts. */
const SETTLE = 200
/** ms for which a Deployment that is not live may be about to go live, or may still finish requests. */
const ABANDONED = 10 * 60_000

/**
 * Makes the cluster match the database until the signal is aborted: makes missing objects, updates those that were made with
 * other settings, removes those that belong to no target. It compares states, not events: an event only starts a comparison.
 * Runs only in the leader. Never rejects.
 */
export async function reconcile(deps: ReconcileDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps
  await using watches = new AsyncDisposableStack()
  let news = new AbortController()
  const there = new Map<WatchedKind, Informer<KubernetesObject>>()
  const since = { strays: new Since(clock), checks: new Since(clock) }
  while (!signal.aborted) {
    news = new AbortController()
    let next: number
    try {
      for (const kind of KINDS) {
        if (!there.has(kind)) there.set(kind, watches.use(await deps.follow(kind, () => news.abort())))
      }
      next = await sweep(deps, there, since)
    } catch (error) {
      log.warn({ err: error }, 'the cluster could not be reconciled; trying again')
      next = RETRY
    }
    await pause(clock, next, AbortSignal.any([signal, news.signal]))
    await pause(clock, SETTLE, signal)
  }
}

/** Resolves to the ms until the next sweep. */
async function sweep(
  deps: ReconcileDeps,
  there: ReadonlyMap<WatchedKind, Informer<KubernetesObject>>,
  { strays, checks }: { readonly strays: Since; readonly checks: Since },
): Promise<number> {
  const { store, objects, settings, log } = deps
  const isUpToDate = isMadeWith(settings)
  let next = SWEEP
  /** Continues with other apps when something of one fails. */
  const attempt = async (of: object, work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => {
      next = RETRY
      log.warn({ err: error, ...of }, 'something of the cluster could not be reconciled; trying again')
    })
  }
  const live = new Set(await deps.liveTargets())
  for (const key of live) {
    await attempt({ target: key }, async () => {
      const missing = KINDS.filter((kind) => !there.get(kind)!.get(objectName(key)))
      if (missing.length === 0) {
        const deployment = there.get('deployments')!.get(objectName(key))!
        if (!isUpToDate(deployment)) await renew(deps, deployment)
        return
      }
      log.warn({ target: key, missing }, 'an app has lost something in the cluster; it is made again')
      objects.forget(key)
      await objects.ensure(key)
    })
  }
  const stray = [...there.get('deployments')!.objects()].filter(({ metadata }) => !live.has(keyOf(metadata!)))
  for (const { metadata } of strays.longer(ABANDONED, stray)) {
    await attempt({ target: keyOf(metadata!) }, () => objects.remove(keyOf(metadata!)))
  }
  const pods = await store.list<V1Pod>('pods', ROLE_LABEL)
  // The replica that waited for their result may have died. Their age does not show this: they may have waited in the pool.
  const loads = pods.filter((pod) => roleOf(pod) === checkLabels('')[ROLE_LABEL])
  for (const { metadata } of checks.longer(ABANDONED, loads)) {
    await attempt({ pod: metadata!.name }, () => store.remove('pods', metadata!.name!))
  }
  const outdated = pods.filter((pod) => cameFromPool(pod) && isRunning(pod) && !isUpToDate(pod))
  const [first] = outdated
  if (first && (settings.poolSize === 0 || pods.some((pod) => isUpToDate(pod) && isWaiting(pod)))) {
    // Deployments roll their own pods. This pod finishes its requests, and its app wakes again in a new pod of the pool.
    await attempt({ pod: first.metadata!.name }, () => store.remove('pods', first.metadata!.name!))
  }
  return outdated.length > 0 ? Math.min(next, RENEWAL) : next
}

function isWaiting(pod: V1Pod): boolean {
  return roleOf(pod) === poolLabels()[ROLE_LABEL] && isPodReady(pod)
}

function roleOf({ metadata }: V1Pod): string | undefined {
  return metadata!.labels?.[ROLE_LABEL]
}

function isRunning(pod: V1Pod): boolean {
  return !isPodOver(pod) && !pod.metadata!.deletionTimestamp
}

function keyOf({ labels }: NonNullable<KubernetesObject['metadata']>): TargetKey {
  return labels![TARGET_LABEL]!
}

/** Updates a Deployment that was made with another image or other limits. It replaces running pods one by one. */
async function renew({ store, settings, specOf }: ReconcileDeps, deployment: V1Deployment): Promise<void> {
  const { name } = deployment.metadata!
  const { metadata, spec } = podTemplateOf(await specOf(keyOf(deployment.metadata!)), settings)
  // A merge patch replaces lists, and keeps fields that it does not name.
  const whole = { ...spec, runtimeClassName: settings.runtimeClass ?? null }
  await store.patch('deployments', name!, {
    metadata: { annotations: { [TEMPLATE_ANNOTATION]: settingsHash(settings) } },
    spec: { template: { metadata, spec: whole } },
  })
}
