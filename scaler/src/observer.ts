import type { ScalerErrorCode } from './errors.ts'
import type { Failure, Phase, TargetKey } from './types.ts'

/** What may be told of a target's life: for metrics, logs and product events. Every hook is optional and must not throw. */
export interface Observer {
  /** A wake begins because of a first request, or a replacement for endpoints that went away. */
  waking?(key: TargetKey): void
  /** `waited` in ms since the wake began. */
  awake?(key: TargetKey, wake: { readonly waited: number; readonly phases: readonly Phase[] }): void
  /** The target has been scaled to zero: it was idle, told to sleep, or retired. */
  asleep?(key: TargetKey): void
  /** A wake failed, or a running target ended without being told to. */
  failed?(key: TargetKey, failure: Failure): void
  /** The replicas wanted of a target that is awake have changed. */
  scaled?(key: TargetKey, change: { readonly from: number; readonly to: number }): void
  /** A request that had to wait has its lease, after `waited` ms. `cold`: no endpoint was ready when it came. */
  granted?(key: TargetKey, grant: { readonly waited: number; readonly cold: boolean }): void
  /** A request was refused: it gets an error of this code. */
  refused?(key: TargetKey, code: ScalerErrorCode): void
  /**
   * Something failed that no caller waits for: a scale call of an idle target, a `keepAwake` hook, the coordination
   * with other activators (without a key). It is tried again.
   */
  error?(error: Error, key?: TargetKey): void
}
