import type { TargetKey } from '@fp/scaler'
import type { Events } from '../../events.ts'
import type { AppFailureReport } from '../../runtime/runtime.ts'
import { targetKey, type TargetId } from '../../runtime/targets.ts'
import type { Background } from '../background.ts'
import { noSuchApp } from './service.ts'
import type { LiveStore } from './live-store.ts'
import type { AppStore } from './store.ts'
import type { AppRecord, Live } from './types.ts'

export interface LiveServiceDeps {
  readonly store: AppStore
  readonly liveStore: LiveStore
  readonly events: Events
  readonly background: Background
  readonly now: () => Date
}

/** For the front door. */
export interface Route {
  readonly appId: string
  readonly ownerId: string
  /** Null until the first deploy. */
  readonly key: TargetKey | null
  /** ms */
  readonly idleTimeout: number
  /** Where it may have fewer instances than others. */
  readonly maxReplicas?: number
}

export type LiveService = ReturnType<typeof createLiveService>

/** What an app's requests go to, and how that fares. */
export function createLiveService(deps: LiveServiceDeps) {
  const { store, liveStore, events, background, now } = deps

  function note(what: string, target: TargetId, set: Parameters<LiveStore['note']>[1]): void {
    background.run(target.appId, what, () => liveStore.note(target, set))
  }
  const listeners = {
    'app.failed': ({ failure, ...target }: TargetId & { failure: AppFailureReport }) =>
      note('keep why an app failed', target, { lastFailure: { ...failure, at: now() } }),
    'app.woke': (target: TargetId) => note('keep when an app woke', target, { startedAt: now() }),
    'app.slept': (target: TargetId) => note('keep when an app fell asleep', target, { sleptAt: now() }),
  }
  events.on('app.failed', listeners['app.failed'])
  events.on('app.woke', listeners['app.woke'])
  events.on('app.slept', listeners['app.slept'])

  async function take(
    appId: string,
    what: { version?: boolean; order?: boolean; revision?: boolean },
  ): Promise<{ version: number; order: number; revision: number; app: AppRecord }> {
    const taken = await liveStore.take(appId, what)
    if (!taken) throw noSuchApp(appId)
    return taken
  }

  return {
    /** One read by the primary key. */
    async route(appId: string): Promise<Route | undefined> {
      const found = await store.route(appId)
      if (!found) return undefined
      const { ownerId, live, idleTimeoutS, storage } = found
      return {
        appId,
        ownerId,
        key: liveKey(appId, live),
        idleTimeout: idleTimeoutS * 1000,
        // Its files are for one instance to write.
        ...(storage ? { maxReplicas: 1 } : {}),
      }
    },

    /** Of every app that has one. */
    async targets(): Promise<TargetKey[]> {
      const routes = await store.liveRoutes()
      return routes.flatMap(({ appId, live }) => liveKey(appId, live) ?? [])
    },

    take,

    /** Switches if it may (see LiveStore.goLive) and tells the front door before it returns. */
    async goLive(appId: string, live: Live): Promise<{ before: Live | null } | undefined> {
      const switched = await liveStore.goLive(appId, live, now())
      if (switched) events.emit('app.routed', { appId })
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

    /** At boot, before anything is woken. */
    recover: (): Promise<void> => liveStore.noteAllAsleep(now()),

    close(): void {
      events.off('app.failed', listeners['app.failed'])
      events.off('app.woke', listeners['app.woke'])
      events.off('app.slept', listeners['app.slept'])
    },
  }
}

export function liveTarget(app: AppRecord): TargetId | undefined {
  return app.live ? { appId: app.appId, version: app.live.version, revision: app.live.revision } : undefined
}

export function liveKey(appId: string, live: Pick<Live, 'version' | 'revision'> | null): TargetKey | null {
  return live && targetKey({ appId, version: live.version, revision: live.revision })
}
