import type { TargetKey, TargetPhase } from '@fp/scaler'
import type { AppFailureReport } from './runtime.ts'

/** A version of an app with one state of its environment. Another deployment or environment makes another target. */
export interface TargetId {
  readonly appId: string
  readonly version: number
  /** Counts deployments and changes of the environment, so the name of a retired target is never used again. */
  readonly revision: number
}

export function targetKey(id: TargetId): TargetKey {
  return `${id.appId}.${id.version}.${id.revision}`
}

export function parseTargetKey(key: TargetKey): TargetId {
  const [appId, version, revision] = key.split('.')
  if (!appId || !version || !revision) throw new Error(`not a target key: ${key}`)
  return { appId, version: Number(version), revision: Number(revision) }
}

/** A target could not be woken. */
export class TargetFailed extends Error {
  override readonly name = 'TargetFailed'
  readonly failure: AppFailureReport
  constructor(failure: AppFailureReport) {
    super(failure.message)
    this.failure = failure
  }
}

/** What modules can do with targets. `activation.ts` implements it with the activator. */
export interface Targets {
  /**
   * Resolves once the target is ready. Rejects with TargetFailed, with an FpError when the wake was refused (which is not
   * the app's fault), or with the signal's reason.
   */
  wake(key: TargetKey, options?: { signal?: AbortSignal }): Promise<void>
  /** Puts a target to sleep if nothing uses it; false when something does. */
  sleep(key: TargetKey): Promise<boolean>
  /** Sends the target no new requests, and stops it once its running ones are answered. */
  retire(key: TargetKey): Promise<void>
  /** The phase of each target, in the order of the keys. */
  phases(keys: readonly TargetKey[]): Promise<TargetPhase[]>
}
