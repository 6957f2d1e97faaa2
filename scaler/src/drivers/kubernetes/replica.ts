import type { V1Pod } from '@kubernetes/client-node'
import type { Clock } from '../../clock.ts'
import { untilReady } from '../../readiness.ts'
import type { Endpoint, Failure, Phase } from '../../types.ts'
import { failure, podFailure } from './failures.ts'
import type { TakenPod } from './options.ts'
import { isPodOver, isPodReady, podAddress } from './pods.ts'
import type { Probe } from './probe.ts'

export interface ReplicaDeps {
  readonly clock: Clock
  readonly probe: Probe
  readonly port: number
  /** Called when the state of the replica has changed. */
  changed(): void
}

/** Readiness according to the kubelet or an EndpointSlice. Not ready only counts after ready: every pod begins as not ready. */
type Readiness = 'unknown' | 'ready' | 'withdrawn'

/** One pod of a target: its last known state in the cluster, and the results of its probes. */
export class PodReplica {
  readonly uid: string
  readonly name: string
  pod: V1Pod
  /** The pod is being stopped. It gets no more requests. */
  stopped = false
  readonly #deps: ReplicaDeps
  readonly #began: number
  readonly #phases = new Map<string, number>()
  /** The id of the current run of the containers. After a restart of a container, the pod is a different endpoint. */
  #run = ''
  #asking: AbortController | undefined
  /** The pod was taken from the spare pods. It ran before the wake, so its start does not belong to the phases of the wake. */
  #taken = false
  #ready = false
  #failure: Failure | undefined
  #kubelet: Readiness = 'unknown'
  #slice: Readiness = 'unknown'

  /** `began`: when the wake of the target began, in ms of the clock. */
  constructor(pod: V1Pod, began: number, deps: ReplicaDeps) {
    this.uid = pod.metadata!.uid!
    this.name = pod.metadata!.name!
    this.pod = pod
    this.#deps = deps
    this.#began = began
  }

  /** The endpoint id of the current run of the containers. */
  get id(): string {
    return `${this.uid}/${restartsOf(this.pod)}`
  }

  /** Whether a ReplicaSet controls the pod, and would replace it. Other pods come from the spare pods. */
  get controlled(): boolean {
    return (this.pod.metadata?.ownerReferences ?? []).some(
      ({ kind, controller }) => controller === true && kind === 'ReplicaSet',
    )
  }

  /** Whether a ReplicaSet counts this pod, and may delete it when it has too many. */
  get ofSet(): boolean {
    return this.controlled && !this.terminating && !isPodOver(this.pod)
  }

  get terminating(): boolean {
    return this.pod.metadata?.deletionTimestamp !== undefined
  }

  /** Whether the pod counts as a replica: it may be starting, crashing or ready. */
  get counts(): boolean {
    return !this.stopped && !this.terminating && !isPodOver(this.pod)
  }

  get endpoint(): Endpoint | undefined {
    const withdrawn = this.#kubelet === 'withdrawn' || this.#slice === 'withdrawn'
    if (!this.#ready || !this.counts || withdrawn || podFailure(this.pod)) return undefined
    const url = podAddress(this.pod, this.#deps.port)
    return url && { id: this.id, url }
  }

  /** Whether a container has ended and waits for its restart. */
  get crashed(): boolean {
    const code = podFailure(this.pod)?.code
    return code === 'KUBERNETES_CRASHED' || code === 'KUBERNETES_OUT_OF_MEMORY'
  }

  /** Why the pod is not going to be ready, if known. */
  get failure(): Failure | undefined {
    if (this.stopped || this.terminating) return undefined
    return this.#failure ?? podFailure(this.pod)
  }

  /** Whether the kubelet reports the pod as ready. A ReplicaSet uses this to choose which pods to delete. */
  get kubeletReady(): boolean {
    return this.#kubelet === 'ready'
  }

  get phases(): readonly Phase[] {
    return [...this.#phases].map(([name, at]) => ({ name, at })).sort((a, b) => a.at - b.at)
  }

  /** Handles a new version of the pod from the cluster. */
  update(pod: V1Pod): void {
    this.pod = pod
    this.#kubelet = next(this.#kubelet, isPodReady(pod))
    if (!this.#taken) this.#reachByStatus(pod)
    if (!this.counts) this.#stopAsking()
    else this.#ask()
    this.#deps.changed()
  }

  /** Handles the readiness of the pod in an EndpointSlice. */
  slice(ready: boolean): void {
    const before = this.#slice
    this.#slice = next(before, ready)
    if (this.#slice !== before) this.#deps.changed()
  }

  /** Stops probing the pod, and excludes it from the endpoints. */
  stop(): void {
    this.stopped = true
    this.#stopAsking()
  }

  /** Probes the pod once: whether it answers at all, even if not as a ready one would. */
  async answers(signal: AbortSignal): Promise<boolean> {
    const address = podAddress(this.pod, this.#deps.port)
    if (address) await this.#deps.probe(address, signal, this.pod)
    return address !== undefined
  }

  /** Called for a spare pod that was taken: `ready` replaces the probe. `began`: when the pod was taken, in ms of the clock. */
  async taken(ready: TakenPod['ready'], began: number): Promise<void> {
    this.#stopAsking()
    this.#taken = true
    this.#phases.clear()
    const run = (this.#run = this.id)
    const result = await ready.catch((error: Error) => ({ failure: this.#notReady(error) }))
    if (this.#run !== run) return
    if ('failure' in result) this.#failure = result.failure
    else this.#becomeReady('claimed', result.phases, began - this.#began)
    this.#deps.changed()
  }

  #notReady(error: Error): Failure {
    return failure('KUBERNETES_NOT_READY', `The pod that was taken did not become ready: ${error.message}`, {
      pod: this.name,
      reason: 'NotReady',
    })
  }

  #ask(): void {
    const { id } = this
    const address = podAddress(this.pod, this.#deps.port)
    if (!address || this.#run === id) return
    this.#stopAsking()
    this.#run = id
    this.#asking = new AbortController()
    void this.#askUntilReady(address, this.#asking.signal)
  }

  async #askUntilReady(address: URL, signal: AbortSignal): Promise<void> {
    const { probe, clock } = this.#deps
    let phases: readonly Phase[] | undefined
    const asked = async (stop: AbortSignal): Promise<boolean> => {
      const result = await probe(address, stop, this.pod)
      this.#failure = result.failure
      phases = result.phases
      return result.ready || result.failure !== undefined
    }
    try {
      await untilReady(asked, { signal, clock })
    } catch {
      // The container was restarted, or the pod is stopping.
      return
    }
    if (!this.#failure) {
      // The last phase that the container reports ends now.
      const now = clock.now() - this.#began
      this.#becomeReady('container', phases ?? [], now - (phases?.at(-1)?.at ?? 0))
    }
    this.#deps.changed()
  }

  /** `offset`: ms from the begin of the wake to time 0 of these phases. That time is added as a phase with the name `zero`. */
  #becomeReady(zero: string, phases: readonly Phase[], offset: number): void {
    this.#ready = true
    if (phases.length > 0) this.#reach(zero, offset)
    for (const { name, at } of phases) this.#reach(name, offset + at)
    this.#reach('ready')
  }

  #reachByStatus(pod: V1Pod): void {
    this.#reach('created')
    if (pod.spec?.nodeName) this.#reach('scheduled')
    // The kubelet reports the address late, often when the container is already running.
    if (pod.status?.podIP) this.#reach('address')
  }

  #reach(name: string, at = this.#deps.clock.now() - this.#began): void {
    if (!this.#phases.has(name)) this.#phases.set(name, Math.max(0, at))
  }

  #stopAsking(): void {
    this.#asking?.abort(new Error('The probe of the pod was stopped.'))
    this.#asking = undefined
    this.#run = ''
    this.#ready = false
    this.#failure = undefined
  }
}

function next(before: Readiness, ready: boolean): Readiness {
  if (ready) return 'ready'
  return before === 'unknown' ? before : 'withdrawn'
}

/** The number of restarts of all containers, because it is unknown which container serves the requests. */
function restartsOf(pod: V1Pod): number {
  return (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0)
}
