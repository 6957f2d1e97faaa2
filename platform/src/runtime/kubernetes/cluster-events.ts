import type { CoreV1Event } from '@kubernetes/client-node'
import { systemClock, type TargetKey } from '@fp/scaler'
import { createInformer, type Informer, type KubernetesApi } from '@fp/scaler/kubernetes'
import { plainFailure, type AppFailureReport } from '../runtime.ts'
import type { ObjectStore } from './store.ts'

export interface ClusterEventsDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  /** The target that a pod belongs to. The name of a pod from the pool does not tell it. */
  targetOfPod(name: string): TargetKey | undefined
  /** Called with a step of a target's start, for which its owner may be waiting. */
  progress(key: TargetKey, message: string): void
  /**
   * A node evicted a pod of the target. kubelet lets the pod finish its requests before the pod's status has the reason;
   * the pod may be deleted by then.
   */
  evicted(key: TargetKey, failure: AppFailureReport): void
  failed(error: Error): void
}

/** The messages for an app's owner, by the reason of a cluster event. Other events do not concern owners. */
const WORDS: Readonly<Partial<Record<string, (message: string) => string | undefined>>> = {
  // No prototype: reasons come from outside.
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

/** Reports events about the pods and Deployments of targets, from now on. */
export async function followClusterEvents(deps: ClusterEventsDeps): Promise<Informer<CoreV1Event>> {
  let begun = false
  const informer = await createInformer<CoreV1Event>({
    api: deps.api,
    path: deps.store.path('events'),
    clock: systemClock,
    changed(event) {
      // Events that exist at the beginning are old.
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

/** Undefined if the event is not about a target or does not concern owners. */
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

/** Reads the target from the name of its Deployment, ReplicaSet or pod, which begin with the same words. */
function targetOf(name: string): TargetKey | undefined {
  const [, appId, version, revision] = /^app-([a-z0-9]+)-(\d+)-(\d+)(?:-|$)/.exec(name) ?? []
  return appId && `${appId}.${version}.${revision}`
}
