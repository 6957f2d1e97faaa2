import type { Events, PlatformEvents } from '../../events.ts'
import type { AppFailureReport } from '../../runtime/runtime.ts'
import { targetKey, TargetFailed, type Targets } from '../../runtime/targets.ts'
import { liveKey, type LiveService } from '../app-records/live-service.ts'
import { noSuchApp, type AppService } from '../app-records/service.ts'
import type { Live } from '../app-records/types.ts'
import type { Log } from '../../logger.ts'
import type { Background } from '../background.ts'
import type { DatabaseService } from '../databases/service.ts'
import type { VersionService } from '../versions/service.ts'
import { failureOf, internalFailure, START_LIMIT, superseded } from './failure.ts'
import type { DeploymentFeed } from './feed.ts'
import type { DeploymentStore } from './store.ts'
import type { DeploymentRecord, StageEvent } from './types.ts'

export interface SwitchDeps {
  readonly store: DeploymentStore
  readonly feed: DeploymentFeed
  readonly apps: AppService
  readonly live: LiveService
  readonly versions: VersionService
  readonly databases: DatabaseService
  readonly targets: Targets
  readonly events: Events
  readonly background: Background
  readonly log: Log
  readonly now: () => Date
}

/** How many different messages of one start are recorded. */
const MAX_PROGRESS = 20

/** Takes one deployment from `validating` to its end. The deployments of one app must run one after the other. */
export function createSwitch(deps: SwitchDeps) {
  const { store, feed, apps, live, versions, databases, targets, events, background, log } = deps

  function retire(key: string, appId: string): void {
    background.run(appId, 'retire a target', () => targets.retire(key))
  }

  /** Wakes the version as a new target and makes it live. `before`: what is live now. Resolves to what was live before. */
  async function bringUp(
    deployment: DeploymentRecord,
    { hash, before, signal }: { hash: string; before: Live | null; signal: AbortSignal },
  ): Promise<Live | null> {
    const { appId, version, order, deploymentId } = deployment
    for (;;) {
      // A new revision, so that the key differs from that of a target of the same version that is being retired.
      const { revision } = await live.take(appId, { revision: true })
      const key = targetKey({ appId, version, revision })
      try {
        await targets.wake(key, { signal })
      } catch (error) {
        retire(key, appId)
        const app = error instanceof TargetFailed ? await apps.findAny(appId) : undefined
        // The target failed with an environment that the app no longer has, so it is started again.
        if (app && app.envRevision > revision && !signal.aborted) continue
        throw error
      }
      const switched = await live
        .goLive(appId, { version, revision, hash, order, deploymentId })
        .catch(async (error: unknown) => {
          // The switch may have happened although its result was lost, or the gate could not be notified.
          const app = await apps.findAny(appId)
          if (app?.live?.deploymentId === deploymentId) return { before }
          retire(key, appId)
          throw error
        })
      if (switched) return switched.before
      retire(key, appId)
      signal.throwIfAborted()
      const app = await apps.findAny(appId)
      if (!app) throw noSuchApp(appId)
      if (app.live && app.live.order > order) throw superseded()
      if (app.envRevision < revision) throw new Error('the switch did not happen, for no known reason')
      // The environment changed during the start. Start again, with the present one.
    }
  }

  return async function run(deployment: DeploymentRecord, stop: AbortSignal): Promise<void> {
    const { deploymentId, appId, version } = deployment
    const ids = { deployment_id: deploymentId, app_id: appId, version }
    const say = async (event: Omit<StageEvent, 'at'>): Promise<void> => {
      await store.append(deploymentId, { ...event, at: deps.now() })
      feed.changed({ deploymentId, appId })
    }
    const fail = async (report: AppFailureReport): Promise<void> => {
      await live.noteFirstFailure(appId, report)
      await say({ stage: 'failed', message: report.message, failure: { ...report, at: deps.now() } })
    }

    /** The messages that were recorded while the target starts. Each is recorded once. */
    const heard = new Set<string>()
    /** Records one message after the other, so that they stay in order. */
    let telling: Promise<void> = Promise.resolve()
    const progress = ({ message, ...target }: PlatformEvents['app.progress']): void => {
      const ours = target.appId === appId && target.version === version
      if (!ours || heard.has(message) || heard.size >= MAX_PROGRESS) return
      heard.add(message)
      const told = telling.then(() => say({ stage: 'starting', message }))
      telling = told.catch(() => undefined)
      background.run(appId, 'tell how a deployment goes', () => told)
    }

    let before: Live | null
    let userId: string
    try {
      stop.throwIfAborted()
      await say({ stage: 'creating' })
      const app = await apps.findAny(appId)
      if (!app) throw noSuchApp(appId)
      if (app.live && app.live.order > deployment.order) throw superseded()
      userId = app.ownerId
      const { hash } = await versions.summary(appId, version)
      await databases.uriFor(userId)
      await say({ stage: 'starting' })
      const signal = AbortSignal.any([stop, AbortSignal.timeout(START_LIMIT)])
      events.on('app.progress', progress)
      before = await bringUp(deployment, { hash, before: app.live, signal }).finally(() => {
        events.off('app.progress', progress)
        return telling
      })
    } catch (error) {
      const report = failureOf(error)
      if (!report) log.error({ err: error, ...ids }, 'a deployment failed for a reason of the platform')
      return fail(report ?? internalFailure())
    }
    // The version is live. If a step from here on fails, it stays live, and `recover` completes the record.
    events.emit('deployment.live', { userId, appId, version, deploymentId })
    const oldKey = liveKey(appId, before)
    if (oldKey) retire(oldKey, appId)
    await say({ stage: 'ready' })
  }
}
