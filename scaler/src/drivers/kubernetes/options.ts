import type { KubeConfig, V1Pod } from '@kubernetes/client-node'
import type { Clock } from '../../clock.ts'
import type { Driver, Endpoint, Failure, Phase, TargetKey } from '../../types.ts'
import type { Probe, ReadinessOptions } from './probe.ts'

/** A pod that was already running and now belongs to the target. No ReplicaSet may control it. */
export interface TakenPod {
  /** The stored pod, with the target's label. */
  readonly pod: V1Pod
  /**
   * Resolves when the pod is ready (with phases in ms since it was taken), or has failed. A rejection counts as a failure too.
   */
  readonly ready: Promise<{ readonly phases: readonly Phase[] } | { readonly failure: Failure }>
}

/** A pool of running pods that can be assigned to a target, so that the target need not start one. */
export interface SparePods {
  /** Assigns a pod to the target. Resolves to undefined if there is none; then the Deployment is scaled up. */
  take(key: TargetKey, options: { signal: AbortSignal }): Promise<TakenPod | undefined>
}

/** Options of the Kubernetes driver. */
export interface KubernetesDriverOptions {
  readonly kubeConfig: KubeConfig
  readonly namespace: string
  /**
   * The name of a label whose value is the target's key. The Deployment, its pods and its Service, if there is one, must have
   * this label (EndpointSlices get it from the Service). The driver watches only objects with it. Keys must be valid label
   * values.
   */
  readonly targetLabel: string
  /** The port at which the pods listen. */
  readonly port: number
  /** The Deployment's name. Default: the key. */
  deploymentName?(key: TargetKey): string
  /** Called before each scale-up: makes sure that the Deployment exists. A new Deployment must have 0 replicas. */
  prepare?(key: TargetKey, options: { signal: AbortSignal }): Promise<void>
  /** How the driver finds out whether a pod is ready: by a GET, or by a custom probe. */
  readonly readiness?: ReadinessOptions | Probe
  readonly spares?: SparePods
  /** Called for every pod of every target: at the start, at each change, and with `gone` when it is deleted. Must not throw. */
  readonly onPod?: (pod: V1Pod, gone: boolean) => void
  /** Called when a target's Deployment was deleted, by anybody: `prepare` must not rely on cached state. Must not throw. */
  readonly onDeploymentGone?: (key: TargetKey) => void
  /** Called with errors in the background that will be retried, such as a watch that broke. Must not throw. */
  readonly onError?: (error: Error) => void
  /** Default: the system clock. */
  readonly clock?: Clock
}

/** Disposing the driver ends its watches. The pods keep running. */
export interface KubernetesDriver extends Driver, AsyncDisposable {
  readonly name: 'kubernetes'
  probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
}
