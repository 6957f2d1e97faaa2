import type { Failure, Phase, TargetKey } from './types.ts'

/** What may be told of a target's life: for metrics, logs and product events. Every hook is optional and must not throw. */
export interface Observer {
  /** A wake begins because of a first request, or a replacement for endpoints that went away. */
  waking?(key: TargetKey): void
  /** `waited` in ms since the wake began. */
  awake?(key: TargetKey, wake: { waited: number; phases: readonly Phase[] }): void
  /** The target has been scaled to zero: it was idle, told to sleep, or retired. */
  asleep?(key: TargetKey): void
  /** A wake failed, or a running target ended without being told to. */
  failed?(key: TargetKey, failure: Failure): void
  queueFull?(key: TargetKey): void
}
