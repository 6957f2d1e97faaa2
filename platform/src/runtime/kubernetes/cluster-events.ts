import type { CoreV1Event } from '@kubernetes/client-node'
import { systemClock, type TargetKey } from '@fp/scaler'
import { createInformer, type Informer, type KubernetesApi } from '@fp/scaler/kubernetes'
import { plainFailure, type AppFailureReport } from '../runtime.ts'
import type { ObjectStore } from './store.ts'

export interface ClusterEventsDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  /** Whose pod it is, by its name: one of the pool has its name from before it was anybody's. */
  targetOfPod(name: string): TargetKey | undefined
  /** Something is happening to a target that its owner may wait for. */
  progress(key: TargetKey, message: string): void
  /**
   * Its node has ended a pod. kubelet lets it answer what it has and says only then, by the pod, why; it may be given up
   * and deleted by that time.
   */
  evicted(key: TargetKey, failure: AppFailureReport): void
  failed(error: Error): void
}

/** What the cluster's events say to an app's owner; those that are not here say nothing to them. */
const WORDS: Readonly<Partial<Record<string, (message: string) => string | undefined>>> = {
  // Nothing inherited: reasons come from outside.
  __proto__: null as never,
  Scheduled: () => 'A node has room for the app.',
  Pulling: () => 'The node fetches the image that runs apps.',
  Pulled: (message) => (message.startsWith('Successfully pulled') ? 'The node has the image.' : undefined),
  Started: () => 'The container has started; your code is being loaded.',
  FailedScheduling: (message) => `No node has room for the app: ${message}`,
  FailedMount: (message) => `The node cannot give the app its files yet: ${message}`,
  FailedCreatePodSandBox: (message) => `The node cannot make the pod yet: ${message}`,
  FailedCreate: (message) => `The cluster does not let the pod be made: ${message}`,
  Failed: (message) => `The node cannot start the container: ${message}`,
  BackOff: () => 'It has ended and is started again, later each time.',
  Evicted: (message) => `The node ran short and ended the pod: ${message}`,
  Preempting: () => 'Something more important takes the pod’s place.',
}

const MAX_MESSAGE = 300

/** Tells what the cluster says about the pods and Deployments of targets, from now on, in plain words. */
export async function followClusterEvents(deps: ClusterEventsDeps): Promise<Informer<CoreV1Event>> {
  let begun = false
  const informer = await createInformer<CoreV1Event>({
    api: deps.api,
    path: deps.store.path('events'),
    clock: systemClock,
    changed(event) {
      // What is there at the beginning is of before.
      const news = begun ? newsOf(event, deps.targetOfPod) : undefined
      if (!news) return
      if (event.reason === 'Evicted') deps.evicted(news.key, plainFailure('FP_APP_EVICTED', news.message))
      deps.progress(news.key, news.message)
    },
    deleted: () => undefined,
    failed: (error) => deps.failed(error),
  })
  begun = true
  return informer
}

/** Undefined where it is about no target, or says nothing to an owner. */
export function newsOf(
  event: CoreV1Event,
  targetOfPod: ClusterEventsDeps['targetOfPod'] = () => undefined,
): { key: TargetKey; message: string } | undefined {
  const { involvedObject, reason = '', message = '' } = event
  const { name = '' } = involvedObject
  const key = targetOf(name) ?? targetOfPod(name)
  const words = key && WORDS[reason]?.(message)
  return words ? { key, message: words.slice(0, MAX_MESSAGE) } : undefined
}

/** By the name of its Deployment, or of what that made: ReplicaSets and pods have it with more behind it. */
function targetOf(name: string): TargetKey | undefined {
  const [, appId, version, revision] = /^app-([a-z0-9]+)-(\d+)-(\d+)(?:-|$)/.exec(name) ?? []
  return appId && `${appId}.${version}.${revision}`
}
