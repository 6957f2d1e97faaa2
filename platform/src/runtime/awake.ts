import type { AwakeLimits, TargetKey } from '@fp/scaler'
import { parseTargetKey } from './targets.ts'

/**
 * How many apps of a user may be awake. One more puts the user's app to sleep that has been idle longest. Apps count, not targets:
 * during a deployment two versions of an app are awake.
 */
export function awakeLimits(options: {
  /** Most apps of one user; 0 = no limit. */
  readonly most: number
  ownerOf(key: TargetKey): string | Promise<string>
  /** Whether a user may have any number awake. */
  isExempt(userId: string): Promise<boolean>
}): AwakeLimits {
  const { most, ownerOf, isExempt } = options
  if (most === 0) return {}
  return {
    mostPerGroup: async (owner) => ((await isExempt(owner)) ? Infinity : most),
    groupOf: ownerOf,
    unitOf: (key) => parseTargetKey(key).appId,
  }
}
