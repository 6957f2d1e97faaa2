import { ScalerError, type TargetKey } from '@fp/scaler'
import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { targetKey, TargetFailed, type TargetId, type Targets } from '../../runtime/targets.ts'
import { liveTarget, type LiveService } from '../apps/live-service.ts'
import type { AppPower } from '../apps/ports.ts'
import type { AppService } from '../apps/service.ts'
import { cleanAnswer, cleanRequest } from './proxy.ts'

/** One request to an app, through the activator like any other. */
export type CallApp = (target: { key: TargetKey; host: string }, request: ProxyBody) => Promise<ProxyAnswer>

export interface PowerDeps {
  readonly apps: AppService
  readonly live: LiveService
  readonly targets: Targets
  readonly runtime: Pick<Runtime, 'logs'>
  readonly call: CallApp
  readonly appUrl: (appId: string) => string
}

/** A switch may come between an app's lookup and its call; more than a few of them is a bug. */
const MAX_RETIRED = 5

/** What an owner does with an app that is deployed. */
export function createPower(deps: PowerDeps): AppPower {
  const { apps, live, targets } = deps

  async function deployed(ownerId: string, appId: string): Promise<TargetId> {
    const target = liveTarget(await apps.find(ownerId, appId))
    if (target) return target
    throw new FpError('FP_APP_NOT_DEPLOYED', 'The app has no live version yet. Deploy it first.')
  }

  return {
    async sleep(ownerId, appId) {
      const target = await deployed(ownerId, appId)
      const asleep = targets.phase(targetKey(target)) === 'asleep'
      if (!asleep && (await targets.sleep(targetKey(target)))) await live.noteSlept(target)
    },

    async wake(ownerId, appId, signal) {
      for (;;) {
        const target = await deployed(ownerId, appId)
        try {
          await targets.wake(targetKey(target), { signal })
        } catch (error) {
          if (!(error instanceof TargetFailed)) throw error
          // A switch or another environment may have replaced it meanwhile: then the new one is meant.
          const now = await deployed(ownerId, appId)
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

    async call(ownerId, appId, request) {
      const { host } = new URL(deps.appUrl(appId))
      const cleaned = cleanRequest(request)
      for (let attempt = 1; ; attempt++) {
        const key = targetKey(await deployed(ownerId, appId))
        try {
          return cleanAnswer(await deps.call({ key, host }, cleaned))
        } catch (error) {
          // Replaced between the look and the call, of which then nothing was sent.
          if (!isRetired(error) || attempt === MAX_RETIRED) throw error
        }
      }
    },

    async logs(ownerId, appId, lines) {
      await apps.find(ownerId, appId)
      return deps.runtime.logs(appId, { lines })
    },
  }
}

function isRetired(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof ScalerError && error.cause.code === 'SCALER_RETIRED'
}
