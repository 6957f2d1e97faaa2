import type { V1Deployment, V1EndpointSlice, V1Pod, V1Scale } from '@kubernetes/client-node'
import { systemClock } from '../../clock.ts'
import { pause, untilReady } from '../../readiness.ts'
import type { ScaleOptions, TargetKey, TargetState } from '../../types.ts'
import { KubernetesApi, KubernetesApiError, type ApiRequest } from './api.ts'
import { createInformer } from './informer.ts'
import type { KubernetesDriver, KubernetesDriverOptions } from './options.ts'
import { httpProbe } from './probe.ts'
import type { PodReplica } from './replica.ts'
import { KubernetesTarget } from './target.ts'

/** A ReplicaSet ends pods of lower cost first, of those that are ready. */
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
/** The values that Kubernetes takes for a label. */
const LABEL_VALUE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/** ms for kubelet to call ready what answers already; then whoever the ReplicaSet ends answers what it has. */
const KUBELET_PATIENCE = 5_000
/** ms for a ReplicaSet to end what it has too many. Of what is deleted before it knows, it makes another one, and ends that. */
const SET_PATIENCE = 1_000

/** ms for which a request to an API server that does not answer or is busy is retried. Every request here may be sent twice. */
const RETRY_FOR = 2_000
/** ms until the first retry; doubled each time. */
const FIRST_RETRY = 50

/**
 * Targets as Deployments of a cluster. One informer each for the pods, Deployments and EndpointSlices of all targets. A
 * pod is asked at its own address as soon as it has one; kubelet's word, which comes up to a second later, is not waited
 * for, but believed when it takes readiness away. Resolves once the cluster's state is known; rejects when it cannot be had.
 */
export async function createKubernetesDriver(options: KubernetesDriverOptions): Promise<KubernetesDriver> {
  await using started = new AsyncDisposableStack()
  const api = started.use(new KubernetesApi(options.kubeConfig))
  const driver = new Driver(api, options)
  started.defer(() => driver.close())
  await driver.begin(started)
  const stack = started.move()
  return {
    name: 'kubernetes',
    scale: (key, replicas, scaling) => driver.scale(key, replicas, scaling),
    watch: (onChange) => driver.watch(onChange),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

class Driver {
  readonly #api: KubernetesApi
  readonly #options: KubernetesDriverOptions
  readonly #targets = new Map<TargetKey, KubernetesTarget>()
  readonly #watchers = new Set<(key: TargetKey, state: TargetState) => void>()
  /** The scale calls of a target are carried out in order. */
  readonly #queues = new Map<TargetKey, Promise<unknown>>()

  constructor(api: KubernetesApi, options: KubernetesDriverOptions) {
    this.#api = api
    this.#options = options
  }

  async begin(stack: AsyncDisposableStack): Promise<void> {
    const { namespace, targetLabel, clock = systemClock, onError, onPod, onDeploymentGone } = this.#options
    const follow = {
      api: this.#api,
      labelSelector: targetLabel,
      clock,
      ...(onError ? { failed: onError } : {}),
    }
    const keyOf = (object: V1Pod | V1Deployment | V1EndpointSlice): TargetKey =>
      object.metadata?.labels?.[targetLabel] ?? ''
    // Deployments first: whether their pods are wanted is known before the pods are.
    stack.use(
      await createInformer<V1Deployment>({
        ...follow,
        path: `/apis/apps/v1/namespaces/${namespace}/deployments`,
        changed: (deployment) => {
          this.#targetOf(keyOf(deployment)).deploymentChanged(deployment)
          this.#forgetIfEmpty(keyOf(deployment))
        },
        deleted: (deployment) => {
          onDeploymentGone?.(keyOf(deployment))
          this.#targets.get(keyOf(deployment))?.deploymentChanged(undefined)
          this.#forgetIfEmpty(keyOf(deployment))
        },
      }),
    )
    stack.use(
      await createInformer<V1Pod>({
        ...follow,
        path: `/api/v1/namespaces/${namespace}/pods`,
        changed: (pod, before) => {
          // Given to another target, or taken out of service by hand.
          if (before && keyOf(before) !== keyOf(pod)) this.#targets.get(keyOf(before))?.podDeleted(before)
          this.#targetOf(keyOf(pod)).podChanged(pod)
          onPod?.(pod, false)
        },
        deleted: (pod) => {
          onPod?.(pod, true)
          this.#targets.get(keyOf(pod))?.podDeleted(pod)
          this.#forgetIfEmpty(keyOf(pod))
        },
      }),
    )
    stack.use(
      await createInformer<V1EndpointSlice>({
        ...follow,
        path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
        changed: (slice) => this.#targets.get(keyOf(slice))?.sliceChanged(slice),
        deleted: () => undefined,
      }),
    )
  }

  watch(onChange: (key: TargetKey, state: TargetState) => void): Promise<AsyncDisposable> {
    this.#watchers.add(onChange)
    for (const [key, target] of this.#targets) onChange(key, target.state)
    return Promise.resolve({
      [Symbol.asyncDispose]: () => {
        this.#watchers.delete(onChange)
        return Promise.resolve()
      },
    })
  }

  async scale(key: TargetKey, replicas: number, options: ScaleOptions): Promise<readonly string[]> {
    options.signal.throwIfAborted()
    if (!LABEL_VALUE.test(key)) {
      throw new Error(
        `The target ${JSON.stringify(key)} cannot be the value of a label: at most 63 letters, digits, ".", "_" and "-".`,
      )
    }
    const before = this.#queues.get(key) ?? Promise.resolve()
    const scaled = before.then(() => {
      options.signal.throwIfAborted()
      return replicas === 0 ? this.#stop(key, options.signal) : this.#scale(key, replicas, options)
    })
    const settled = scaled.catch(() => undefined)
    this.#queues.set(key, settled)
    void settled.then(() => {
      if (this.#queues.get(key) === settled) this.#queues.delete(key)
      this.#forgetIfEmpty(key)
    })
    return scaled
  }

  close(): void {
    for (const target of this.#targets.values()) target.close()
    this.#watchers.clear()
  }

  #targetOf(key: TargetKey): KubernetesTarget {
    const known = this.#targets.get(key)
    if (known) return known
    const { readiness = {}, clock = systemClock, port } = this.#options
    const probe = typeof readiness === 'function' ? readiness : httpProbe(readiness)
    const target = new KubernetesTarget({ clock, probe, port }, (state) => {
      for (const watcher of [...this.#watchers]) watcher(key, state)
    })
    this.#targets.set(key, target)
    return target
  }

  #forgetIfEmpty(key: TargetKey): void {
    if (this.#targets.get(key)?.empty && !this.#queues.has(key)) this.#targets.delete(key)
  }

  async #stop(key: TargetKey, signal: AbortSignal): Promise<string[]> {
    const target = this.#targetOf(key)
    // One that was never scaled up has no Deployment yet.
    await this.#patchScale(key, 0, signal).catch(unless(404))
    // What there is now, not before it was told: a pod that became ready meanwhile is not to be used any more either.
    const stopped = [...target.pods.values()].filter(({ terminating }) => !terminating)
    const ids = target.condemn(stopped)
    // Not only what the ReplicaSet ends: it leaves pods that failed, and scaled up again at once it might keep one.
    await this.#end(target, signal)
    return ids
  }

  async #scale(key: TargetKey, wanted: number, options: ScaleOptions): Promise<string[]> {
    const target = this.#targetOf(key)
    const { living } = target
    const loose = living.filter(({ controlled }) => !controlled).length
    const excess = loose + target.replicas - wanted
    if (excess > 0) return this.#shrink(key, target, excess, options)
    // What an attempt to have fewer has left behind is in the place of others.
    await this.#delete(target.doomed, options.signal)
    if (excess < 0) await this.#grow(key, target, wanted - loose, options.signal)
    return []
  }

  /** Until the Deployment's pods and what is taken in their place are this many. */
  async #grow(key: TargetKey, target: KubernetesTarget, wanted: number, signal: AbortSignal): Promise<void> {
    if (target.living.length === 0) target.begin()
    let missing = wanted - target.replicas
    let left = wanted
    await this.#options.prepare?.(key, { signal })
    while (missing > 0 && (await this.#take(key, target, signal))) {
      missing--
      left--
    }
    if (missing > 0) await this.#patchScale(key, left, signal)
  }

  /** Whether a spare pod has become the target's. */
  async #take(key: TargetKey, target: KubernetesTarget, signal: AbortSignal): Promise<boolean> {
    const { spares } = this.#options
    return spares !== undefined && target.take(spares.take(key, { signal }))
  }

  /**
   * Those that are not ready yet go first, the newest before the others, then those that are named. Others are in use.
   * None of them is ready any more from the begin on, so that nobody comes to use one that is about to end.
   */
  async #shrink(
    key: TargetKey,
    target: KubernetesTarget,
    excess: number,
    { remove = [], signal }: ScaleOptions,
  ): Promise<string[]> {
    const { living } = target
    const starting = living.filter(({ endpoint }) => !endpoint).reverse()
    const named = living.filter(({ endpoint }) => endpoint && remove.includes(endpoint.id))
    // What a Deployment is to have and has not made yet goes before everything.
    const controlled = living.filter((replica) => replica.controlled).length
    const unmade = Math.min(excess, Math.max(0, target.replicas - controlled))
    const victims = [...starting, ...named].slice(0, excess - unmade)
    const fewer = unmade + victims.filter((replica) => replica.controlled).length
    const left = target.replicas - fewer
    const ids = target.condemn(victims)
    if (fewer > 0) {
      await this.#mark(target, signal)
      await this.#patchScale(key, left, signal)
    }
    // Should the ReplicaSet have chosen another one, it makes one in the place of what nobody uses.
    await this.#end(target, signal)
    return ids
  }

  /**
   * Makes the doomed the ones that their ReplicaSet ends first. It looks at what kubelet calls ready before it looks at
   * the cost, so what stays must be ready by kubelet's word too: that comes within a second or so of this driver's.
   */
  async #mark(target: KubernetesTarget, signal: AbortSignal): Promise<void> {
    const { clock = systemClock } = this.#options
    const body = { metadata: { annotations: { [DELETION_COST]: '-1000' } } }
    await Promise.all(
      target.doomed
        .filter(({ controlled }) => controlled)
        .map(({ name }) =>
          this.#ask('PATCH', this.#pod(name), { patch: 'merge', body, signal }).catch(unless(404)),
        ),
    )
    const began = clock.now()
    const staying = target.living.filter(({ controlled }) => controlled)
    await untilReady(
      async () =>
        clock.now() - began >= KUBELET_PATIENCE ||
        staying.every(({ kubeletReady, endpoint }) => kubeletReady || !endpoint),
      { signal, clock },
    )
  }

  async #patchScale(key: TargetKey, replicas: number, signal: AbortSignal): Promise<void> {
    const { namespace, deploymentName = (same) => same } = this.#options
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deploymentName(key)}/scale`
    const body = { spec: { replicas } }
    const scale = await this.#ask<V1Scale>('PATCH', path, { patch: 'merge', body, signal })
    this.#targetOf(key).told(replicas, scale.metadata?.resourceVersion)
  }

  /** The doomed are gone or about to, when this resolves: by their ReplicaSet if it does so soon. */
  async #end(target: KubernetesTarget, signal: AbortSignal): Promise<void> {
    const { clock = systemClock } = this.#options
    await this.#delete(
      target.doomed.filter(({ ofSet }) => !ofSet),
      signal,
    )
    const began = clock.now()
    await untilReady(
      async () => clock.now() - began >= SET_PATIENCE || !target.doomed.some(({ ofSet }) => ofSet),
      { signal, clock },
    )
    await this.#delete(target.doomed, signal)
  }

  async #delete(replicas: readonly PodReplica[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      replicas.map(({ name, uid }) =>
        // Conflict: another one of that name.
        this.#ask('DELETE', this.#pod(name), { body: { preconditions: { uid } }, signal }).catch(
          unless(404, 409),
        ),
      ),
    )
  }

  #pod(name: string): string {
    return `/api/v1/namespaces/${this.#options.namespace}/pods/${name}`
  }

  /** Again where the API server could not be asked or had no time: requests wait for what is asked. */
  async #ask<T>(
    method: 'PATCH' | 'DELETE',
    path: string,
    request: ApiRequest & { signal: AbortSignal },
  ): Promise<T> {
    const { clock = systemClock } = this.#options
    const until = clock.now() + RETRY_FOR
    for (let wait = FIRST_RETRY; ; wait *= 2) {
      try {
        return await this.#api.request<T>(method, path, request)
      } catch (error) {
        if (!isPassing(error) || clock.now() + wait > until) throw error
      }
      await pause(wait, clock, request.signal)
    }
  }
}

/** It could not be asked, is asked too much, or is not well. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof KubernetesApiError && (error.status === 0 || error.status === 429 || error.status >= 500)
  )
}

/** Takes what the API server says of something that is not there for an answer. */
function unless(...statuses: number[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof KubernetesApiError && statuses.includes(error.status))) throw error
  }
}
