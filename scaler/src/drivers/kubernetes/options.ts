import type { KubeConfig, V1Pod } from '@kubernetes/client-node'
import type { Clock } from '../../clock.ts'
import type { Driver, Failure, Phase, TargetKey } from '../../types.ts'
import type { Probe, ReadinessOptions } from './probe.ts'

/** A pod that was running already and is the target's from now on. No ReplicaSet may control it. */
export interface TakenPod {
  /** As it is stored, with the target's label. */
  readonly pod: V1Pod
  /** Settles once it has answered ready, or is known not to; where it rejects, that is a failure too. Phases in ms since it was taken. */
  readonly ready: Promise<{ readonly phases: readonly Phase[] } | { readonly failure: Failure }>
}

/** Running pods that wait for a target, to spare it the start of one. */
export interface SparePods {
  /** Undefined where there is none; then the Deployment is scaled up. */
  take(key: TargetKey, options: { signal: AbortSignal }): Promise<TakenPod | undefined>
}

/** Only where it is and what its pods are called must be said. */
export interface KubernetesDriverOptions {
  readonly kubeConfig: KubeConfig
  readonly namespace: string
  /**
   * A label whose value is the target's key: of the Deployment, its pods and, where there is one, its Service (which
   * gives it to its EndpointSlices). Nothing else of the namespace is watched. So keys must be valid values of labels.
   */
  readonly targetLabel: string
  /** The port at which pods answer. */
  readonly port: number
  /** The Deployment's name. Default: the key. */
  deploymentName?(key: TargetKey): string
  /** Makes sure that the Deployment is there, with no replicas if it is new. Before each time that there are to be more. */
  prepare?(key: TargetKey, options: { signal: AbortSignal }): Promise<void>
  /** How a pod is asked whether it is ready: a GET, or whatever else. */
  readonly readiness?: ReadinessOptions | Probe
  readonly spares?: SparePods
  /** Hears of every pod of every target: as it is now, at each change, and `gone` at its end. Must not throw. */
  readonly onPod?: (pod: V1Pod, gone: boolean) => void
  /** Hears that a target's Deployment is gone, whoever deleted it: what `prepare` remembers of it is void. Must not throw. */
  readonly onDeploymentGone?: (key: TargetKey) => void
  /** Something in the background failed and is tried again: a watch that broke off. Must not throw. */
  readonly onError?: (error: Error) => void
  /** Default: the system's. */
  readonly clock?: Clock
}

/** Disposing it ends its watches and leaves the pods alone. */
export interface KubernetesDriver extends Driver, AsyncDisposable {
  readonly name: 'kubernetes'
}
