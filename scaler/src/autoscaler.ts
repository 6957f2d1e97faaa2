import { withDefaults } from './checks.ts'
import type { ScalingPolicy, TargetPolicy } from './types.ts'

/** Knative's defaults (config-autoscaler): 60 s and 6 s windows, 70 % of the target, panic at twice the replicas. */
export const DEFAULT_SCALING: ScalingPolicy = {
  targetUtilization: 0.7,
  stableWindow: 60_000,
  panicWindow: 6_000,
  panicThreshold: 2,
  maxScaleUpRate: 1_000,
  maxScaleDownRate: 2,
  scaleDownDelay: 0,
  activationScale: 1,
}
/** The desired requests in flight per replica if the policy sets no concurrency limit; Knative's default. */
const DEFAULT_CONCURRENCY = 100

export interface Observation {
  /** ms, monotonic. */
  readonly now: number
  readonly ready: number
  /** Average requests in flight and waiting, or requests per second, over the stable and the panic window. */
  readonly stable: number
  readonly panic: number
}

/** `policy.scaling`, with defaults for the fields that are not set. */
export function scalingOf(policy: TargetPolicy): ScalingPolicy {
  return policy.scaling ? withDefaults(DEFAULT_SCALING, policy.scaling) : DEFAULT_SCALING
}

/** The load per replica that the autoscaler aims for: requests per second if the policy has a rate, otherwise requests in flight. */
export function targetLoad(policy: TargetPolicy): number {
  const { targetRate, targetConcurrency, targetUtilization } = scalingOf(policy)
  return (targetRate ?? targetConcurrency ?? (policy.concurrency || DEFAULT_CONCURRENCY)) * targetUtilization
}

/**
 * Computes the number of replicas for a load, with the algorithm of Knative's pod autoscaler (pkg/autoscaler/scaling).
 * Normally the average over the stable window decides. A burst that needs at least `panicThreshold` times the ready replicas
 * starts panic mode: the panic window decides as well, and the number of replicas never decreases. Panic mode ends when no
 * such burst has occurred for one stable window.
 */
export class Autoscaler {
  #panicSince: number | undefined
  #panicReplicas = 0
  /** The decisions of the last `scaleDownDelay` ms; the greatest one applies. */
  #wishes: { readonly at: number; readonly replicas: number }[] = []

  /** The number of replicas, at least 0. The caller applies the policy's minReplicas and maxReplicas. */
  decide(seen: Observation, policy: TargetPolicy): number {
    const scaling = scalingOf(policy)
    const goal = targetLoad(policy)
    const ready = Math.max(1, seen.ready)
    const most = Math.ceil(scaling.maxScaleUpRate * ready)
    const fewest = Math.floor(ready / scaling.maxScaleDownRate)
    const bounded = (wish: number): number => Math.min(Math.max(wish, fewest), most)
    const stable = bounded(Math.ceil(seen.stable / goal))
    const burst = Math.ceil(seen.panic / goal)

    if (burst / ready >= scaling.panicThreshold) this.#panicSince = seen.now
    else if (this.#panicSince !== undefined && seen.now - this.#panicSince > scaling.stableWindow) {
      this.#panicSince = undefined
      this.#panicReplicas = 0
    }
    if (this.#panicSince === undefined) return this.#delayed(stable, seen.now, scaling)
    this.#panicReplicas = Math.max(this.#panicReplicas, stable, bounded(burst))
    return this.#delayed(this.#panicReplicas, seen.now, scaling)
  }

  #delayed(replicas: number, now: number, { scaleDownDelay }: ScalingPolicy): number {
    this.#wishes = this.#wishes.filter(({ at }) => now - at < scaleDownDelay)
    this.#wishes.push({ at: now, replicas })
    return Math.max(...this.#wishes.map((wish) => wish.replicas))
  }
}
