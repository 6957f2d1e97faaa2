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
  /** Something about it is different now. */
  changed(): void
}

/** Of the conditions that kubelet and others set: what is never ready at first is no news, what was ready and is not any more is. */
type Readiness = 'unknown' | 'ready' | 'withdrawn'

/** One pod of a target, by the cluster's latest word and by its own. */
export class PodReplica {
  readonly uid: string
  readonly name: string
  pod: V1Pod
  /** Told to end, by whomever. Nothing is sent to it any more. */
  stopped = false
  readonly #deps: ReplicaDeps
  readonly #began: number
  readonly #phases = new Map<string, number>()
  /** One life of its container: after a restart it is another endpoint. */
  #run = ''
  #asking: AbortController | undefined
  /** It ran before the wake: what the cluster says of its start is no news. */
  #taken = false
  #ready = false
  #failure: Failure | undefined
  #kubelet: Readiness = 'unknown'
  #slice: Readiness = 'unknown'

  /** `began`: when the wake did that it is for, on the clock. */
  constructor(pod: V1Pod, began: number, deps: ReplicaDeps) {
    this.uid = pod.metadata!.uid!
    this.name = pod.metadata!.name!
    this.pod = pod
    this.#deps = deps
    this.#began = began
  }

  /** Of its present life. */
  get id(): string {
    return `${this.uid}/${restartsOf(this.pod)}`
  }

  /** A ReplicaSet's, which would replace it; others were taken for the target one by one. */
  get controlled(): boolean {
    return (this.pod.metadata?.ownerReferences ?? []).some(
      ({ kind, controller }) => controller === true && kind === 'ReplicaSet',
    )
  }

  /** Its ReplicaSet counts it, and ends it when it has too many. */
  get ofSet(): boolean {
    return this.controlled && !this.terminating && !isPodOver(this.pod)
  }

  get terminating(): boolean {
    return this.pod.metadata?.deletionTimestamp !== undefined
  }

  /** Whether it counts as a replica: it may be starting, crashing or ready. */
  get counts(): boolean {
    return !this.stopped && !this.terminating && !isPodOver(this.pod)
  }

  get endpoint(): Endpoint | undefined {
    const withdrawn = this.#kubelet === 'withdrawn' || this.#slice === 'withdrawn'
    if (!this.#ready || !this.counts || withdrawn || podFailure(this.pod)) return undefined
    return { id: this.id, url: podAddress(this.pod, this.#deps.port)! }
  }

  /** Why it is not going to be ready. */
  get failure(): Failure | undefined {
    if (this.stopped || this.terminating) return undefined
    return this.#failure ?? podFailure(this.pod)
  }

  /** What kubelet itself says: what a ReplicaSet looks at when it chooses which to end. */
  get kubeletReady(): boolean {
    return this.#kubelet === 'ready'
  }

  get phases(): readonly Phase[] {
    return [...this.#phases].map(([name, at]) => ({ name, at })).sort((a, b) => a.at - b.at)
  }

  /** The cluster's latest word of the pod. */
  update(pod: V1Pod): void {
    this.pod = pod
    this.#kubelet = next(this.#kubelet, isPodReady(pod))
    if (!this.#taken) this.#reachByStatus(pod)
    if (!this.counts) this.#stopAsking()
    else this.#ask()
    this.#deps.changed()
  }

  /** What an EndpointSlice says of it. */
  slice(ready: boolean): void {
    const before = this.#slice
    this.#slice = next(before, ready)
    if (this.#slice !== before) this.#deps.changed()
  }

  /** Nothing more is asked of it or sent to it. */
  stop(): void {
    this.stopped = true
    this.#stopAsking()
  }

  /** It was told by who took it, so that it need not be asked. */
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
      // Another life, or none.
      return
    }
    if (!this.#failure) {
      // The container's own times end now.
      const now = clock.now() - this.#began
      this.#becomeReady('container', phases ?? [], now - (phases?.at(-1)?.at ?? 0))
    }
    this.#deps.changed()
  }

  /** `offset`: ms from the wake's begin to the zero of these phases, which is a phase of this name. */
  #becomeReady(zero: string, phases: readonly Phase[], offset: number): void {
    this.#ready = true
    if (phases.length > 0) this.#reach(zero, offset)
    for (const { name, at } of phases) this.#reach(name, offset + at)
    this.#reach('ready')
  }

  #reachByStatus(pod: V1Pod): void {
    this.#reach('created')
    if (pod.spec?.nodeName) this.#reach('scheduled')
    // kubelet tells of it late: often when the container runs already.
    if (pod.status?.podIP) this.#reach('address')
  }

  #reach(name: string, at = this.#deps.clock.now() - this.#began): void {
    if (!this.#phases.has(name)) this.#phases.set(name, Math.max(0, at))
  }

  #stopAsking(): void {
    this.#asking?.abort(new Error('The pod is not waited for any more.'))
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

/** Of all its containers: which one answers is not known. */
function restartsOf(pod: V1Pod): number {
  return (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0)
}
