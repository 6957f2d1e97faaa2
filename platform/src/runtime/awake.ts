import type { AwakeLimits, TargetKey } from '@fp/scaler'
import type { AppsMemory } from './runtime.ts'
import { parseTargetKey } from './targets.ts'

/**
 * How many apps of a user may be awake, and how much memory all apps may use. One app more puts the user's app to sleep that has been
 * idle longest. Apps count, not targets: during a deployment two versions of an app are awake. When memory gets scarce, idle apps
 * sleep sooner.
 */
export function awakeLimits(options: {
  /** Most apps of one user; 0 = no limit. */
  readonly most: number
  ownerOf(key: TargetKey): string | Promise<string>
  /** Whether a user may have any number awake. */
  isExempt(userId: string): Promise<boolean>
  /** Bytes that all apps may use; 0 = what the runtime allows. */
  readonly memory: number
  readonly memoryOfApps?: (() => Promise<AppsMemory | undefined>) | undefined
}): AwakeLimits {
  const { most, ownerOf, isExempt, memory, memoryOfApps } = options
  return {
    ...(most > 0 && { mostPerGroup: async (owner) => ((await isExempt(owner)) ? Infinity : most) }),
    groupOf: ownerOf,
    unitOf: (key) => parseTargetKey(key).appId,
    ...(memoryOfApps && {
      pressure: async () => {
        const apps = await memoryOfApps()
        return apps ? apps.used / Math.min(memory || Infinity, apps.limit) : 0
      },
    }),
  }
}
