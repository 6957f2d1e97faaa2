import { systemClock } from '../../clock.ts'
import type { ScaleOptions, TargetKey, TargetState } from '../../types.ts'
import { KubernetesApi } from './api.ts'
import { Cleanups } from './cleanups.ts'
import type { KubernetesDriver, KubernetesDriverOptions } from './options.ts'
import { httpProbe } from './probe.ts'
import { ignoring, TargetRequests } from './target-requests.ts'
import { KubernetesTarget } from './target.ts'
import { watchTargets } from './watch-targets.ts'

/** Valid values of a Kubernetes label, except the empty one. */
const LABEL_VALUE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/**
 * Runs targets as Deployments of a cluster, with one informer each for the pods, Deployments and EndpointSlices of all targets.
 * The driver probes a pod at its own address as soon as it has one, because the kubelet reports readiness up to a second later.
 * When the kubelet reports that a pod is no longer ready, the driver follows that. Resolves when the state of the cluster is
 * known; rejects if it cannot be read.
 */
export async function createKubernetesDriver(options: KubernetesDriverOptions): Promise<KubernetesDriver> {
  await using started = new Cleanups()
  const api = started.use(new KubernetesApi(options.kubeConfig))
  const driver = new Driver(api, options)
  started.defer(() => driver.close())
  const targets = started.use(
    await watchTargets(api, options, {
      of: (key) => driver.targetOf(key),
      known: (key) => driver.knownTarget(key),
      forgetIfEmpty: (key) => driver.forgetIfEmpty(key),
    }),
  )
  const stack = started.move()
  return {
    name: 'kubernetes',
    scale: (key, replicas, scaling) => driver.scale(key, replicas, scaling),
    watch: (onChange) => driver.watch(onChange),
    isCurrent: () => targets.isCurrent(),
    probe: (key, { id }, signal) => driver.answers(key, id, signal),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  }
}

class Driver {
  readonly #requests: TargetRequests
  readonly #options: KubernetesDriverOptions
  readonly #targets = new Map<TargetKey, KubernetesTarget>()
  readonly #watchers = new Set<(key: TargetKey, state: TargetState) => void>()
  /** The last pending scale call of each target: the calls of one target run in order. */
  readonly #queues = new Map<TargetKey, Promise<unknown>>()

  constructor(api: KubernetesApi, options: KubernetesDriverOptions) {
    const { namespace, clock = systemClock, deploymentName = (key) => key } = options
    this.#requests = new TargetRequests({ api, namespace, clock, deploymentName })
    this.#options = options
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
        `The target ${JSON.stringify(key)} is not a valid label value: at most 63 letters, digits, ".", "_" and "-".`,
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
      this.forgetIfEmpty(key)
    })
    return scaled
  }

  async answers(key: TargetKey, id: string, signal: AbortSignal): Promise<boolean> {
    const pod = this.#targets.get(key)?.living.find((replica) => replica.id === id)
    return pod?.answers(signal) ?? false
  }

  close(): void {
    for (const target of this.#targets.values()) target.close()
    this.#watchers.clear()
  }

  /** Returns the target, and creates it if it is unknown. */
  targetOf(key: TargetKey): KubernetesTarget {
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

  knownTarget(key: TargetKey): KubernetesTarget | undefined {
    return this.#targets.get(key)
  }

  forgetIfEmpty(key: TargetKey): void {
    if (this.#targets.get(key)?.empty && !this.#queues.has(key)) this.#targets.delete(key)
  }

  async #stop(key: TargetKey, signal: AbortSignal): Promise<string[]> {
    const target = this.targetOf(key)
    // A target that was never scaled up has no Deployment yet.
    await this.#setReplicas(key, 0, signal).catch(ignoring(404))
    // Read after the request: pods that became ready in the meantime must not be used any more either.
    const stopped = [...target.pods.values()].filter(({ terminating }) => !terminating)
    const ids = target.stop(stopped)
    // The ReplicaSet leaves failed pods, and might keep a pod if it is scaled up again immediately.
    await this.#requests.deletePods(target, signal)
    return ids
  }

  async #scale(key: TargetKey, wanted: number, options: ScaleOptions): Promise<string[]> {
    const target = this.targetOf(key)
    if (target.loose.length + target.replicas > wanted) return this.#shrink(key, target, wanted, options)
    const { remove = [], signal } = options
    const isReady = target.living.some(({ endpoint }) => endpoint)
    // The kubelet restarts a crashed container after a delay of up to five minutes. A new pod starts at once.
    const replaced = target.living.filter(({ id, crashed }) => remove.includes(id) || (isReady && crashed))
    const ids = target.stop(replaced)
    // Pods that remain from an earlier failed scale-down still count as replicas of the Deployment. The ReplicaSet replaces them.
    await this.#requests.deleteNow(target.toDelete, signal)
    const ofSet = wanted - target.loose.length
    if (target.replicas < ofSet) await this.#grow(key, target, ofSet, signal)
    return ids
  }

  /** Takes spare pods, and scales the Deployment up by the number that is still missing. */
  async #grow(key: TargetKey, target: KubernetesTarget, wanted: number, signal: AbortSignal): Promise<void> {
    if (target.living.length === 0) target.begin()
    let missing = wanted - target.replicas
    let left = wanted
    await this.#options.prepare?.(key, { signal })
    while (missing > 0 && (await this.#take(key, target, signal))) {
      missing--
      left--
    }
    if (missing > 0) await this.#setReplicas(key, left, signal)
  }

  /** Resolves to whether the target has got a spare pod. */
  async #take(key: TargetKey, target: KubernetesTarget, signal: AbortSignal): Promise<boolean> {
    const { spares } = this.#options
    return spares !== undefined && target.take(spares.take(key, { signal }))
  }

  /**
   * Stops the pods in `remove`, then pods that are not ready, starting with the newest. Other pods are in use and keep running.
   * Pods to stop are no longer reported as ready even before the first request, so that no new request uses them.
   */
  async #shrink(
    key: TargetKey,
    target: KubernetesTarget,
    wanted: number,
    { remove = [], signal }: ScaleOptions,
  ): Promise<string[]> {
    const { living, loose } = target
    const named = living.filter(({ id }) => remove.includes(id))
    const starting = living.filter((pod) => !pod.endpoint && !named.includes(pod)).reverse()
    // Pods that the Deployment has not created yet are cancelled before existing ones are stopped.
    const made = Math.min(living.length - loose.length, target.replicas)
    const surplus = Math.max(0, made + loose.length - named.length - wanted)
    const ids = target.stop([...named, ...starting.slice(0, surplus)])
    const stopped = living.length - loose.length - (target.living.length - target.loose.length)
    const left = Math.max(wanted - target.loose.length, made - stopped)
    if (left < target.replicas) {
      await this.#requests.markForDeletion(target, signal)
      await this.#setReplicas(key, left, signal)
    }
    // If the ReplicaSet has deleted another pod, it replaces the unused one that is deleted here.
    await this.#requests.deletePods(target, signal)
    return ids
  }

  async #setReplicas(key: TargetKey, replicas: number, signal: AbortSignal): Promise<void> {
    const version = await this.#requests.scale(key, replicas, signal)
    this.targetOf(key).scaled(replicas, version)
  }
}
