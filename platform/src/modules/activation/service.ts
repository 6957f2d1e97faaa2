import type { TargetKey } from '@fp/scaler'
import { setTimeout as delay } from 'node:timers/promises'
import { FpError } from '../../errors.ts'
import type { RuntimeCapabilities } from '../../runtime/runtime.ts'
import { targetKey, TargetFailed, type Targets } from '../../runtime/targets.ts'
import type { LiveService } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'

export interface ActivationDeps {
  readonly apps: AppService
  readonly live: LiveService
  readonly targets: Targets
  readonly runtime: { readonly capabilities: Pick<RuntimeCapabilities, 'sharedByReplicas'> }
}

/** How long the other replicas may take to put an app to sleep, in ms. An app that has requests there stays awake. */
const SLEEP_PATIENCE = 2_000
const LOOK_INTERVAL = 50

export interface ActivationService {
  /** Puts the app to sleep unless it has requests. */
  sleep(ownerId: string, appId: string): Promise<void>
  /** Resolves once the app answers. Throws FP_APP_NOT_DEPLOYED, FP_APP_CRASHED. */
  wake(ownerId: string, appId: string, signal: AbortSignal): Promise<void>
}

/** Wakes apps and puts them to sleep when their owners ask for it. */
export function createActivationService(deps: ActivationDeps): ActivationService {
  const { apps, live, targets } = deps
  const isAsleep = async (key: TargetKey): Promise<boolean> => (await targets.phases([key]))[0] === 'asleep'

  return {
    async sleep(ownerId, appId) {
      const target = await apps.findDeployed(ownerId, appId)
      const key = targetKey(target)
      if (await isAsleep(key)) return
      if (await targets.sleep(key)) return live.noteSlept(target)
      if (!deps.runtime.capabilities.sharedByReplicas) {
        if (await isAsleep(key)) return
        throw new FpError(
          'FP_APP_BUSY',
          'The app is answering requests, so it stays awake. Try again once they are answered. If it hangs, deploy it again: that replaces its process.',
        )
      }
      // Other replicas hold the target's lock for a while after its last request there. They are asked to release it.
      await live.askSleep(appId)
      const until = performance.now() + SLEEP_PATIENCE
      while (performance.now() < until && !(await isAsleep(key))) await delay(LOOK_INTERVAL)
    },

    async wake(ownerId, appId, signal) {
      for (;;) {
        const target = await apps.findDeployed(ownerId, appId)
        try {
          await targets.wake(targetKey(target), { signal })
        } catch (error) {
          if (!(error instanceof TargetFailed)) throw error
          // A deployment or a new environment may have replaced the target meanwhile. Then the new target is woken.
          const now = await apps.findDeployed(ownerId, appId)
          if (targetKey(now) !== targetKey(target)) continue
          await live.noteFailure(target, error.failure)
          throw new FpError('FP_APP_CRASHED', `The app could not start: ${error.failure.message}`, {
            details: error.failure,
          })
        }
        await live.noteStarted(target)
        return
      }
    },
  }
}
