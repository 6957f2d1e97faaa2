import type { TargetKey } from '@fp/scaler'
import type { Events, PlatformEvents } from '../../events.ts'
import type { TargetId } from '../../runtime/targets.ts'
import type { Background } from '../background.ts'
import { liveKey } from './live-service.ts'
import type { LiveStore } from './live-store.ts'
import type { AppStore } from './store.ts'

/** Where an app's requests go. */
export interface Route {
  readonly appId: string
  readonly ownerId: string
  /** Null until the first deploy. */
  readonly key: TargetKey | null
  /** ms */
  readonly idleTimeout: number
  /** Set where the app may have fewer instances than other apps. */
  readonly maxReplicas?: number
}

export interface Directory {
  /** One read by the primary key. Undefined: no such app. */
  route(appId: string): Promise<Route | undefined>
  /** The targets that serve the apps now. */
  liveTargets(): Promise<TargetKey[]>
  /** Records that no app runs: those that ran when the gate ended are asleep. Call it before anything is woken. */
  allAsleep(): Promise<void>
}

/** What the gate must know about apps to serve their requests. */
export function createDirectory(deps: { store: AppStore; liveStore: LiveStore; now: () => Date }): Directory {
  const { store, liveStore, now } = deps
  return {
    async route(appId) {
      const found = await store.route(appId)
      if (!found) return undefined
      const { ownerId, live, idleTimeoutS, storage } = found
      return {
        appId,
        ownerId,
        key: liveKey(appId, live),
        idleTimeout: idleTimeoutS * 1000,
        // Only one instance may write the files of its storage.
        ...(storage ? { maxReplicas: 1 } : {}),
      }
    },
    async liveTargets() {
      const routes = await store.liveRoutes()
      return routes.flatMap(({ appId, live }) => liveKey(appId, live) ?? [])
    },
    allAsleep: () => liveStore.noteAllAsleep(now()),
  }
}

/** Records in the apps' documents when live targets wake, fall asleep and fail, as the events report it. */
export function recordTargets(deps: {
  liveStore: LiveStore
  events: Events
  background: Background
  now: () => Date
}): Disposable {
  const { liveStore, events, background, now } = deps
  function note(what: string, target: TargetId, set: Parameters<LiveStore['note']>[1]): void {
    background.run(target.appId, what, () => liveStore.note(target, set))
  }
  const failed = ({ failure, ...target }: PlatformEvents['app.failed']): void =>
    note('keep why an app failed', target, { lastFailure: { ...failure, at: now() } })
  const woke = (target: TargetId): void => note('keep when an app woke', target, { startedAt: now() })
  const slept = (target: TargetId): void => note('keep when an app fell asleep', target, { sleptAt: now() })
  events.on('app.failed', failed).on('app.woke', woke).on('app.slept', slept)
  return {
    [Symbol.dispose]: () =>
      void events.off('app.failed', failed).off('app.woke', woke).off('app.slept', slept),
  }
}
