import { ScalerError, type Activator, type Driver, type TargetKey } from '@fp/scaler'
import { KeyedQueue } from '../queues/keyed-queue.ts'
import { parseTargetKey } from './targets.ts'

/** Seconds until a retry: an app may be idle then. */
const RETRY_AFTER = 5

export interface AwakeLimitDeps {
  readonly driver: Driver
  /** Most apps of one user that may be awake. */
  readonly most: number
  ownerOf(key: TargetKey): string | Promise<string>
  /** Whether a user may have any number awake. */
  isExempt(userId: string): Promise<boolean>
  readonly activator: () => Pick<Activator, 'targets' | 'sleep'>
}

/**
 * A driver that limits how many apps of a user are awake. To wake one more, it puts the user's app to sleep that has been
 * idle longest. If all of them have requests, it refuses the wake.
 */
export function limitAwake(deps: AwakeLimitDeps): Driver {
  const { driver, most } = deps
  /** Admits one wake of a user at a time, so that two cannot take the same place. */
  const perOwner = new KeyedQueue()
  /** Targets that were admitted. Other waking targets still wait for this. */
  const admitted = new Set<TargetKey>()

  async function admit(key: TargetKey): Promise<void> {
    const owner = await deps.ownerOf(key)
    if (await deps.isExempt(owner)) return
    await perOwner.run(owner, async () => {
      while ((await othersAwake(owner, key)).size >= most) {
        const idle = await longestIdle(owner, key)
        if (idle === undefined || !(await deps.activator().sleep(idle))) throw tooManyAwake(most)
      }
      admitted.add(key)
    })
  }

  /** Counts apps, not targets: during a deployment two versions of an app are awake. */
  async function othersAwake(owner: string, key: TargetKey): Promise<Set<string>> {
    const { appId: own } = parseTargetKey(key)
    const awake = new Set<string>()
    const seen = new Set<TargetKey>()
    for (const [other, { phase }] of [...deps.activator().targets()]) {
      if (phase === 'asleep') continue
      seen.add(other)
      if (phase === 'waking' && !admitted.has(other)) continue
      const { appId } = parseTargetKey(other)
      if (appId !== own && (await deps.ownerOf(other)) === owner) awake.add(appId)
    }
    for (const other of admitted) if (!seen.has(other)) admitted.delete(other)
    return awake
  }

  async function longestIdle(owner: string, key: TargetKey): Promise<TargetKey | undefined> {
    const { appId: own } = parseTargetKey(key)
    let found: { key: TargetKey; since: number } | undefined
    for (const [other, { phase, idleSince }] of [...deps.activator().targets()]) {
      if (phase !== 'awake' || idleSince === undefined || parseTargetKey(other).appId === own) continue
      if (found && found.since <= idleSince) continue
      if ((await deps.ownerOf(other)) === owner) found = { key: other, since: idleSince }
    }
    return found?.key
  }

  return {
    name: driver.name,
    watch: (onChange) => driver.watch(onChange),
    ...(driver.probe ? { probe: driver.probe.bind(driver) } : {}),
    async scale(key, replicas, options) {
      if (replicas > 0 && !admitted.has(key)) await admit(key)
      if (replicas === 0) admitted.delete(key)
      return driver.scale(key, replicas, options)
    },
  }
}

/** A refusal and not a failure: the app is not at fault, and its next request tries again. */
function tooManyAwake(most: number): ScalerError {
  const message = `${most} of your apps are awake, which is all that one user may have, and each of them is answering requests. Put one to sleep, or ask the admin for more.`
  return new ScalerError('SCALER_WAKES_FULL', message, {
    failure: { code: 'FP_AWAKE_LIMIT', message },
    retryAfter: RETRY_AFTER,
  })
}
