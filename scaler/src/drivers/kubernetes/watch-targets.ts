import type { V1Deployment, V1EndpointSlice, V1Pod } from '@kubernetes/client-node'
import { systemClock } from '../../clock.ts'
import type { TargetKey } from '../../types.ts'
import type { KubernetesApi } from './api.ts'
import { Cleanups } from './cleanups.ts'
import { createInformer } from './informer.ts'
import type { KubernetesDriverOptions } from './options.ts'
import type { KubernetesTarget } from './target.ts'

/** The running watch. */
export interface TargetsWatch extends AsyncDisposable {
  /** See Driver.isCurrent. */
  isCurrent(): boolean
}

export interface WatchedTargets {
  /** Returns the target, and creates it if it is unknown. */
  of(key: TargetKey): KubernetesTarget
  known(key: TargetKey): KubernetesTarget | undefined
  forgetIfEmpty(key: TargetKey): void
}

/** Passes changes in the cluster on to the targets. Resolves when the targets have received the current state. */
export async function watchTargets(
  api: KubernetesApi,
  options: KubernetesDriverOptions,
  targets: WatchedTargets,
): Promise<TargetsWatch> {
  await using started = new Cleanups()
  const { namespace, targetLabel, clock = systemClock, onError, onPod, onDeploymentGone } = options
  const follow = { api, labelSelector: targetLabel, clock, ...(onError ? { failed: onError } : {}) }
  const keyOf = (object: V1Pod | V1Deployment | V1EndpointSlice): TargetKey =>
    object.metadata?.labels?.[targetLabel] ?? ''
  // Deployments come first, so that it is known whether their pods are wanted when the pods arrive.
  started.use(
    await createInformer<V1Deployment>({
      ...follow,
      path: `/apis/apps/v1/namespaces/${namespace}/deployments`,
      changed(deployment) {
        targets.of(keyOf(deployment)).deploymentChanged(deployment)
        targets.forgetIfEmpty(keyOf(deployment))
      },
      deleted(deployment) {
        onDeploymentGone?.(keyOf(deployment))
        targets.known(keyOf(deployment))?.deploymentChanged(undefined)
        targets.forgetIfEmpty(keyOf(deployment))
      },
    }),
  )
  const pods = started.use(
    await createInformer<V1Pod>({
      ...follow,
      path: `/api/v1/namespaces/${namespace}/pods`,
      changed(pod, before) {
        // The label was changed: the pod was given to another target, or somebody took it out of service by hand.
        if (before && keyOf(before) !== keyOf(pod)) targets.known(keyOf(before))?.podDeleted(before)
        targets.of(keyOf(pod)).podChanged(pod)
        onPod?.(pod, false)
      },
      deleted(pod) {
        onPod?.(pod, true)
        targets.known(keyOf(pod))?.podDeleted(pod)
        targets.forgetIfEmpty(keyOf(pod))
      },
    }),
  )
  started.use(
    await createInformer<V1EndpointSlice>({
      ...follow,
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      changed: (slice) => targets.known(keyOf(slice))?.sliceChanged(slice),
      deleted: () => undefined,
    }),
  )
  const all = started.move()
  return {
    isCurrent: () => pods.isCurrent,
    [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
  }
}
