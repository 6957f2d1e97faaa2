import type { V1Deployment, V1EndpointSlice, V1Pod } from '@kubernetes/client-node'
import type { TargetState } from '../../types.ts'
import { deploymentFailure } from './failures.ts'
import type { TakenPod } from './options.ts'
import { PodReplica, type ReplicaDeps } from './replica.ts'

/** One target as the cluster's news and this driver's own deeds have it. */
export class KubernetesTarget {
  /** By uid, oldest first. */
  readonly pods = new Map<string, PodReplica>()
  readonly #deps: Omit<ReplicaDeps, 'changed'>
  readonly #say: (state: TargetState) => void
  #deployment: V1Deployment | undefined
  /** What the Deployment was last told to have, and the version it had then: older news of it is void. */
  #told: { readonly replicas: number; readonly version: bigint } | undefined
  #began: number
  /** The uids of those that end while one is being taken: it may be among them. */
  #ended: Set<string> | undefined
  #said = wordsOf({ ready: [] })

  constructor(deps: Omit<ReplicaDeps, 'changed'>, say: (state: TargetState) => void) {
    this.#deps = deps
    this.#say = say
    this.#began = deps.clock.now()
  }

  /** Whether nothing of it is left in the cluster but, maybe, a Deployment that is to have no pods. */
  get empty(): boolean {
    // What it was told is remembered until it is heard of: older news is still to come.
    return this.pods.size === 0 && this.replicas === 0 && !this.#told
  }

  /** What its Deployment is to have. */
  get replicas(): number {
    return this.#told?.replicas ?? this.#deployment?.spec?.replicas ?? 0
  }

  /** Those that count: not ended and not told to. */
  get living(): PodReplica[] {
    return [...this.pods.values()].filter(({ counts }) => counts)
  }

  /** Those that are to end and are not known to be ending. */
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

  /** The wake begins, from which phases count. */
  begin(): void {
    this.#began = this.#deps.clock.now()
  }

  /** The Deployment has been told. `version` as the API server gave it. */
  told(replicas: number, version: string | undefined): void {
    this.#told = { replicas, version: versionOf(version) }
    // The news may be faster than the answer, and there may be more since.
    if (this.#told.version > 0n) this.#forgetTold()
    this.say()
  }

  deploymentChanged(deployment: V1Deployment | undefined): void {
    this.#deployment = deployment
    if (deployment) this.#forgetTold()
    else this.#told = undefined
    this.say()
  }

  podChanged(pod: V1Pod): void {
    this.#replicaOf(pod).update(pod)
  }

  /** Whether a pod that was running already has become one of its. */
  async take(taking: Promise<TakenPod | undefined>): Promise<boolean> {
    const ended = (this.#ended = new Set())
    try {
      const taken = await taking
      // Its end has been told; it would not be told again.
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
    this.say()
  }

  sliceChanged(slice: V1EndpointSlice): void {
    for (const { targetRef, conditions } of slice.endpoints ?? []) {
      const replica = targetRef?.uid ? this.pods.get(targetRef.uid) : undefined
      replica?.slice(conditions?.ready !== false)
    }
  }

  /** Returns the ids of their endpoints, whether they have been ready or not. */
  stop(replicas: readonly PodReplica[]): string[] {
    const ids = replicas.map(({ id }) => id)
    for (const replica of replicas) replica.stop()
    if (replicas.length > 0) this.say()
    return ids
  }

  /** Tells if there is anything new. */
  say(): void {
    const { state } = this
    const said = wordsOf(state)
    if (said === this.#said) return
    this.#said = said
    this.#say(state)
  }

  /** Stops all that goes on for it here. */
  close(): void {
    for (const replica of this.pods.values()) replica.stop()
  }

  #replicaOf(pod: V1Pod): PodReplica {
    const uid = pod.metadata!.uid!
    const known = this.pods.get(uid)
    if (known) return known
    const replica = new PodReplica(pod, this.#began, { ...this.#deps, changed: () => this.say() })
    this.pods.set(uid, replica)
    return replica
  }

  #forgetTold(): void {
    const heard = versionOf(this.#deployment?.metadata?.resourceVersion)
    if (this.#told && heard >= this.#told.version) this.#told = undefined
  }

  /** Pods that a Deployment is not to have any more are being ended, whether that is known of each or not. */
  #wanted(pods: readonly PodReplica[]): PodReplica[] {
    return pods.filter(({ controlled }) => !controlled || this.replicas > 0)
  }

  #failure(living: readonly PodReplica[]): TargetState['failure'] {
    // One that is over is the reason until there is another in its place.
    const judged = living.length > 0 ? living : this.#wanted([...this.pods.values()])
    const ofPod = judged.flatMap(({ failure }) => failure ?? [])[0]
    if (ofPod) return ofPod
    // What is known of the Deployment is of before it was told.
    if (this.#told || !this.#deployment || this.replicas === 0) return undefined
    return deploymentFailure(this.#deployment)
  }
}

/** By which it is known whether there is anything new. */
function wordsOf({ ready, failure, phases }: TargetState): string {
  return JSON.stringify([ready.map(({ id }) => id), failure, phases?.length])
}

/** Versions of one API server's objects grow as numbers do; where they are none, news is believed as it comes. */
function versionOf(version: string | undefined): bigint {
  return version && /^\d+$/.test(version) ? BigInt(version) : 0n
}
