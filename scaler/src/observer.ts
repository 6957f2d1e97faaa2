import type { ScalerErrorCode } from './errors.ts'
import type { Failure, Phase, TargetKey } from './types.ts'

/** Hooks for metrics, logs and product events. Every hook is optional and must not throw. Each activator calls its own observer. */
export interface Observer {
  /** A wake begins: for a first request, to replace endpoints that were lost, or because the policy keeps the target awake. */
  waking?(key: TargetKey): void
  /** `waited` in ms since the wake began. */
  awake?(key: TargetKey, wake: { readonly waited: number; readonly phases: readonly Phase[] }): void
  /** The target has been scaled to zero, because it was idle or because `sleep` or `retire` was called. */
  asleep?(key: TargetKey): void
  /** A wake failed, or a running target stopped although nothing had asked it to. */
  failed?(key: TargetKey, failure: Failure): void
  /** The wanted number of replicas of an awake target has changed. */
  scaled?(key: TargetKey, change: { readonly from: number; readonly to: number }): void
  /** A request that had to wait got its lease after `waited` ms. `cold`: the target was not awake when the request arrived. */
  granted?(key: TargetKey, grant: { readonly waited: number; readonly cold: boolean }): void
  /** A request was refused with an error of this code. */
  refused?(key: TargetKey, code: ScalerErrorCode): void
  /**
   * An operation failed that no caller waits for: a scale call for an idle target, a `keepAwake` hook, or the coordination
   * with other activators (then without a key). It will be retried.
   */
  error?(error: Error, key?: TargetKey): void
}
