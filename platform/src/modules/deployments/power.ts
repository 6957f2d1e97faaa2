import { setTimeout as delay } from 'node:timers/promises'
import { ScalerError, type TargetKey } from '@fp/scaler'
import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { Events } from '../../events.ts'
import { lineText } from '../../runtime/logs.ts'
import type { RuntimeCapabilities, RuntimeLogs } from '../../runtime/runtime.ts'
import { targetKey, TargetFailed, type TargetId, type Targets } from '../../runtime/targets.ts'
import { liveTarget, type LiveService } from '../apps/live-service.ts'
import type { AppPower, Caller } from '../apps/ports.ts'
import type { AppService } from '../apps/service.ts'
import type { Background } from '../background.ts'
import { cleanAnswer, cleanRequest } from './proxy.ts'

/** One request to an app, through the activator like any other. */
export type CallApp = (
  target: { key: TargetKey; host: string },
  request: ProxyBody,
  caller: Caller,
) => Promise<ProxyAnswer>

export interface PowerDeps {
  readonly apps: AppService
  readonly live: LiveService
  readonly targets: Targets
  readonly runtime: {
    readonly capabilities: Pick<RuntimeCapabilities, 'sharedByReplicas'>
    readonly logs: Pick<RuntimeLogs, 'tail'>
  }
  readonly events: Events
  readonly background: Background
  readonly call: CallApp
  readonly appUrl: (appId: string) => string
}

/** A switch may come between an app's lookup and its call; more than a few of them is a bug. */
const MAX_RETIRED = 5

/** An app that has requests somewhere stays awake: it is not waited for longer that the others put it to sleep. ms */
const SLEEP_PATIENCE = 2_000
const LOOK_INTERVAL = 50

/** What an owner does with an app that is deployed. */
export function createPower(deps: PowerDeps): AppPower & { close(): void } {
  const { apps, live, targets, events, background } = deps

  /** This replica gives up its part, and is the last one perhaps. */
  const sleepToo = ({ appId }: { appId: string }): void =>
    background.run(appId, 'put an app to sleep', async () => {
      const app = await apps.findAny(appId)
      const target = app && liveTarget(app)
      if (target && targets.phase(targetKey(target)) !== 'asleep') await targets.sleep(targetKey(target))
    })
  events.on('app.sleepAsked', sleepToo)

  async function deployed(ownerId: string, appId: string): Promise<TargetId> {
    const target = liveTarget(await apps.find(ownerId, appId))
    if (target) return target
    throw new FpError('FP_APP_NOT_DEPLOYED', 'The app has no live version yet. Deploy it first.')
  }

  return {
    async sleep(ownerId, appId) {
      const target = await deployed(ownerId, appId)
      const key = targetKey(target)
      if (targets.phase(key) === 'asleep') return
      if (await targets.sleep(key)) return live.noteSlept(target)
      if (!deps.runtime.capabilities.sharedByReplicas) {
        if (targets.phase(key) === 'asleep') return
        throw new FpError(
          'FP_APP_BUSY',
          'The app is answering requests, so it stays awake. Try again once they are answered. If it hangs, deploy it again: that replaces its process.',
        )
      }
      // Other replicas keep their part in it for a while after its last request there; they are asked to give it up.
      await live.askSleep(appId)
      const until = performance.now() + SLEEP_PATIENCE
      while (targets.phase(key) !== 'asleep' && performance.now() < until) await delay(LOOK_INTERVAL)
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

    async call(ownerId, appId, request, caller) {
      const { host } = new URL(deps.appUrl(appId))
      const cleaned = cleanRequest(request)
      for (let attempt = 1; ; attempt++) {
        const key = targetKey(await deployed(ownerId, appId))
        try {
          return cleanAnswer(await deps.call({ key, host }, cleaned, caller))
        } catch (error) {
          // Replaced between the look and the call, of which then nothing was sent.
          if (!isRetired(error) || attempt === MAX_RETIRED) throw error
        }
      }
    },

    async logs(ownerId, appId, lines) {
      await apps.find(ownerId, appId)
      return (await deps.runtime.logs.tail(appId, { lines })).map(lineText)
    },

    close: () => void events.off('app.sleepAsked', sleepToo),
  }
}

function isRetired(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof ScalerError && error.cause.code === 'SCALER_RETIRED'
}
