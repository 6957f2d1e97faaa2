import type { V1Deployment, V1EndpointSlice, V1Pod, V1Scale } from '@kubernetes/client-node'
import { systemClock } from '../../clock.ts'
import { untilReady } from '../../readiness.ts'
import type { ScaleOptions, TargetKey, TargetState } from '../../types.ts'
import { KubernetesApi, KubernetesApiError } from './api.ts'
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
        changed: (deployment) => this.#targetOf(keyOf(deployment)).deploymentChanged(deployment),
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
        changed: (pod) => {
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
      return replicas === 0 ? this.#stop(key) : this.#scale(key, replicas, options)
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

  async #stop(key: TargetKey): Promise<string[]> {
    const target = this.#targetOf(key)
    const stopped = target.living
    await this.#patchScale(key, 0).catch((error: unknown) => {
      // One that was never scaled up has no Deployment yet.
      if (!(error instanceof KubernetesApiError && error.status === 404)) throw error
    })
    const ids = target.condemn(stopped)
    // Also what the ReplicaSet would end: scaled up again at once it might keep one, which is not to be used any more.
    await Promise.all(stopped.map((replica) => this.#delete(replica)))
    return ids
  }

  async #scale(key: TargetKey, wanted: number, options: ScaleOptions): Promise<string[]> {
    const target = this.#targetOf(key)
    const { living } = target
    const loose = living.filter(({ controlled }) => !controlled).length
    const excess = loose + target.replicas - wanted
    if (excess > 0) return this.#shrink(key, target, excess, options)
    if (excess < 0) await this.#grow(key, target, -excess, options.signal)
    return []
  }

  async #grow(key: TargetKey, target: KubernetesTarget, missing: number, signal: AbortSignal): Promise<void> {
    if (target.living.length === 0) target.begin()
    await this.#options.prepare?.(key, { signal })
    let left = missing
    while (left > 0 && (await this.#take(key, target, signal))) left--
    if (left > 0) await this.#patchScale(key, target.replicas + left)
  }

  /** Whether a spare pod has become the target's. */
  async #take(key: TargetKey, target: KubernetesTarget, signal: AbortSignal): Promise<boolean> {
    const { spares, clock = systemClock } = this.#options
    const taken = await spares?.take(key, { signal })
    if (!taken) return false
    void target.podTaken(taken, clock.now())
    return true
  }

  /** Those that are not ready yet go first, the newest before the others, then those that are named. Others are in use. */
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
    const ofSet = victims.filter((replica) => replica.controlled)
    const loose = victims.filter((replica) => !replica.controlled)
    if (ofSet.length > 0) await this.#mark(ofSet, living, signal)
    if (ofSet.length + unmade > 0) await this.#patchScale(key, target.replicas - ofSet.length - unmade)
    const ids = target.condemn(victims)
    await Promise.all(loose.map((replica) => this.#delete(replica)))
    return ids
  }

  /**
   * Makes these the ones that their ReplicaSet ends first. It looks at what kubelet calls ready before it looks at the
   * cost, so what stays must be ready by kubelet's word too: that comes within a second or so of this driver's.
   */
  async #mark(
    victims: readonly PodReplica[],
    living: readonly PodReplica[],
    signal: AbortSignal,
  ): Promise<void> {
    const { namespace, clock = systemClock } = this.#options
    await Promise.all(
      victims.map(({ name }) =>
        this.#api.request('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}`, {
          patch: 'merge',
          body: { metadata: { annotations: { [DELETION_COST]: '-1000' } } },
        }),
      ),
    )
    const staying = living.filter((replica) => replica.controlled && !victims.includes(replica))
    await untilReady(async () => staying.every((replica) => replica.kubeletReady || !replica.endpoint), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(KUBELET_PATIENCE)]),
      clock,
    }).catch(() => undefined)
    signal.throwIfAborted()
  }

  async #patchScale(key: TargetKey, replicas: number): Promise<void> {
    const { namespace, deploymentName = (same) => same } = this.#options
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deploymentName(key)}/scale`
    const scale = await this.#api.request<V1Scale>('PATCH', path, {
      patch: 'merge',
      body: { spec: { replicas } },
    })
    this.#targetOf(key).told(replicas, scale.metadata?.resourceVersion)
  }

  async #delete({ name, uid }: PodReplica): Promise<void> {
    const { namespace } = this.#options
    await this.#api
      .request('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, { body: { preconditions: { uid } } })
      .catch((error: unknown) => {
        // Gone already, or another one of that name.
        const gone = error instanceof KubernetesApiError && [404, 409].includes(error.status)
        if (!gone) throw error
      })
  }
}
