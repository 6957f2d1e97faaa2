import type { V1Deployment, V1EndpointSlice, V1Pod } from '@kubernetes/client-node'
import type { TargetState } from '../../types.ts'
import { deploymentFailure } from './failures.ts'
import type { TakenPod } from './options.ts'
import { PodReplica, type ReplicaDeps } from './replica.ts'

/** The state of one target, from the events of the cluster and the driver's own requests. */
export class KubernetesTarget {
  /** By uid, oldest first. */
  readonly pods = new Map<string, PodReplica>()
  readonly #deps: Omit<ReplicaDeps, 'changed'>
  readonly #onState: (state: TargetState) => void
  #deployment: V1Deployment | undefined
  /** The replicas last requested for the Deployment, and its version after that request. Set until that version has arrived. */
  #requested: { readonly replicas: number; readonly version: bigint } | undefined
  #began: number
  /** The uids of pods that are deleted while a spare pod is being taken, because the spare pod may be among them. */
  #ended: Set<string> | undefined
  #lastReported = wordsOf({ ready: [] })

  constructor(deps: Omit<ReplicaDeps, 'changed'>, onState: (state: TargetState) => void) {
    this.#deps = deps
    this.#onState = onState
    this.#began = deps.clock.now()
  }

  /** Whether nothing of the target is left in the cluster, except perhaps a Deployment with 0 replicas. */
  get empty(): boolean {
    // A request is remembered until its result arrives as an event, because older events may still arrive before.
    return this.pods.size === 0 && this.replicas === 0 && !this.#requested
  }

  /** The wanted replicas of the Deployment. */
  get replicas(): number {
    return this.#requested?.replicas ?? this.#deployment?.spec?.replicas ?? 0
  }

  /** The pods that count as replicas: not ended and not being stopped. */
  get living(): PodReplica[] {
    return [...this.pods.values()].filter(({ counts }) => counts)
  }

  /** The living pods that no ReplicaSet controls. */
  get loose(): PodReplica[] {
    return this.living.filter(({ controlled }) => !controlled)
  }

  /** The pods that must be deleted and are not known to be terminating. */
  get toDelete(): PodReplica[] {
    return [...this.pods.values()].filter(({ stopped, terminating }) => stopped && !terminating)
  }

  get state(): TargetState {
    const wanted = this.#wanted(this.living)
    const ready = wanted.flatMap(({ endpoint }) => endpoint ?? [])
    const first = wanted.find(({ endpoint }) => endpoint) ?? wanted[0]
    const failure = ready.length === 0 ? this.#failure(wanted) : undefined
    return {
      ready,
      ...(failure ? { failure } : {}),
      ...(first && !failure ? { phases: first.phases } : {}),
    }
  }

  /** Called when a wake begins; the times of phases count from now. */
  begin(): void {
    this.#began = this.#deps.clock.now()
  }

  /** Called after a scale request for the Deployment. `version`: its resource version in the response. */
  scaled(replicas: number, version: string | undefined): void {
    this.#requested = { replicas, version: versionOf(version) }
    // The event of this change, or of a later one, may have arrived before the response.
    if (this.#requested.version > 0n) this.#forgetRequestIfSeen()
    this.report()
  }

  deploymentChanged(deployment: V1Deployment | undefined): void {
    this.#deployment = deployment
    if (deployment) this.#forgetRequestIfSeen()
    else this.#requested = undefined
    this.report()
  }

  podChanged(pod: V1Pod): void {
    this.#replicaOf(pod).update(pod)
  }

  /** Adds a spare pod. Resolves to false if there was none, or if it was deleted in the meantime. */
  async take(taking: Promise<TakenPod | undefined>): Promise<boolean> {
    const ended = (this.#ended = new Set())
    try {
      const taken = await taking
      // The deletion of the pod has already been reported and will not be reported again.
      if (!taken || ended.has(taken.pod.metadata!.uid!)) return false
      void this.#replicaOf(taken.pod).taken(taken.ready, this.#deps.clock.now())
      return true
    } finally {
      this.#ended = undefined
    }
  }

  podDeleted(pod: V1Pod): void {
    this.#ended?.add(pod.metadata!.uid!)
    const replica = this.pods.get(pod.metadata!.uid!)
    if (!replica) return
    replica.stop()
    this.pods.delete(replica.uid)
    this.report()
  }

  sliceChanged(slice: V1EndpointSlice): void {
    for (const { targetRef, conditions } of slice.endpoints ?? []) {
      const replica = targetRef?.uid ? this.pods.get(targetRef.uid) : undefined
      replica?.slice(conditions?.ready !== false)
    }
  }

  /** Stops the replicas. Returns the ids of their endpoints, including those that were never ready. */
  stop(replicas: readonly PodReplica[]): string[] {
    const ids = replicas.map(({ id }) => id)
    for (const replica of replicas) replica.stop()
    if (replicas.length > 0) this.report()
    return ids
  }

  /** Reports the state if it has changed. */
  report(): void {
    const { state } = this
    const current = wordsOf(state)
    if (current === this.#lastReported) return
    this.#lastReported = current
    this.#onState(state)
  }

  /** Stops all probes. */
  close(): void {
    for (const replica of this.pods.values()) replica.stop()
  }

  #replicaOf(pod: V1Pod): PodReplica {
    const uid = pod.metadata!.uid!
    const known = this.pods.get(uid)
    if (known) return known
    const replica = new PodReplica(pod, this.#began, { ...this.#deps, changed: () => this.report() })
    this.pods.set(uid, replica)
    return replica
  }

  #forgetRequestIfSeen(): void {
    const seen = versionOf(this.#deployment?.metadata?.resourceVersion)
    if (this.#requested && seen >= this.#requested.version) this.#requested = undefined
  }

  /** Excludes the pods of a Deployment with 0 replicas: they are being deleted, even if that is not known of each pod yet. */
  #wanted(pods: readonly PodReplica[]): PodReplica[] {
    return pods.filter(({ controlled }) => !controlled || this.replicas > 0)
  }

  #failure(living: readonly PodReplica[]): TargetState['failure'] {
    // A pod that has ended gives the reason until there is another pod.
    const judged = living.length > 0 ? living : this.#wanted([...this.pods.values()])
    const ofPod = judged.flatMap(({ failure }) => failure ?? [])[0]
    if (ofPod) return ofPod
    // The known status of the Deployment is older than the last scale request.
    if (this.#requested || !this.#deployment || this.replicas === 0) return undefined
    return deploymentFailure(this.#deployment)
  }
}

/** A string that differs if the state must be reported again. */
function wordsOf({ ready, failure, phases }: TargetState): string {
  return JSON.stringify([ready.map(({ id }) => id), failure, phases?.length])
}

/** The resource version as a number, to compare versions. 0 if it is not a number; events are then not compared. */
function versionOf(version: string | undefined): bigint {
  return version && /^\d+$/.test(version) ? BigInt(version) : 0n
}
