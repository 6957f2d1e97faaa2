import type { TargetKey } from '@fp/scaler'
import type { AppFailureReport } from '../../runtime/runtime.ts'
import { targetKey, type TargetId } from '../../runtime/targets.ts'
import { noSuchApp } from './service.ts'
import type { LiveStore } from './live-store.ts'
import type { AppRecord, Live } from './types.ts'

export interface LiveServiceDeps {
  readonly liveStore: LiveStore
  /** The gate looks the app up anew at its next request. */
  readonly forgetRoute: (appId: string) => Promise<void>
  readonly now: () => Date
}

export type LiveService = ReturnType<typeof createLiveService>

/** Reads and changes what an app's requests go to, and records when that starts, sleeps and fails. */
export function createLiveService(deps: LiveServiceDeps) {
  const { liveStore, forgetRoute, now } = deps

  async function take(
    appId: string,
    what: { version?: boolean; order?: boolean; revision?: boolean },
  ): Promise<{ version: number; order: number; revision: number; app: AppRecord }> {
    const taken = await liveStore.take(appId, what)
    if (!taken) throw noSuchApp(appId)
    return taken
  }

  return {
    take,

    /** Makes `live` live if LiveStore.goLive allows it. After that the gate of this process sends the old target no request. */
    async goLive(appId: string, live: Live): Promise<{ before: Live | null } | undefined> {
      const switched = await liveStore.goLive(appId, live, now())
      if (switched) await forgetRoute(appId)
      return switched
    },

    noteFailure: (target: TargetId, failure: AppFailureReport): Promise<void> =>
      liveStore.note(target, { lastFailure: { ...failure, at: now() } }),
    noteStarted: (target: TargetId): Promise<void> => liveStore.note(target, { startedAt: now() }),
    noteSlept: (target: TargetId): Promise<void> => liveStore.note(target, { sleptAt: now() }),
    /** Asks all replicas to put the app to sleep. */
    askSleep: (appId: string): Promise<void> => liveStore.askSleep(appId, now()),
    noteFirstFailure: (appId: string, failure: AppFailureReport): Promise<void> =>
      liveStore.noteFirstFailure(appId, { ...failure, at: now() }),
  }
}

export function liveKey(appId: string, live: Pick<Live, 'version' | 'revision'> | null): TargetKey | null {
  return live && targetKey({ appId, version: live.version, revision: live.revision })
}
