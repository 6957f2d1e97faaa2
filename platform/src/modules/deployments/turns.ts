import type { Membership } from '../../coordination/membership.ts'
import type { LiveService } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'
import type { Log } from '../background.ts'
import { failureOf, internalFailure, interrupted } from './failure.ts'
import type { Changes, DeploymentFeed } from './feed.ts'
import type { DeploymentStore } from './store.ts'
import type { DeploymentRecord } from './types.ts'

/** Changes of other replicas' deployments are heard of; should one not be, this is soon enough to look. ms */
const LOOK_AGAIN = 5_000

export interface TurnsDeps {
  readonly store: DeploymentStore
  readonly feed: DeploymentFeed
  readonly apps: AppService
  readonly live: LiveService
  readonly members: Membership
  /** The deployments that this replica carries. */
  readonly carried: { has(deploymentId: string): boolean }
  readonly log: Log
  readonly now: () => Date
}

/** The deployments of an app, whichever replicas carry them: one after the other, and none is left by a dead one. */
export interface Turns {
  /** Waits for the app's older ones; false when it has been ended meanwhile. No longer than the signal. */
  begin(deployment: DeploymentRecord, stop: AbortSignal): Promise<boolean>
  /** Ends the unfinished ones, of these apps or of all, that no replica carries any more. Resolves to them. */
  endAbandoned(appIds?: readonly string[]): Promise<readonly DeploymentRecord[]>
  /** Resolves once no other replica carries one of the app. No longer than the signal. */
  othersDone(appId: string, stop: AbortSignal): Promise<void>
}

export function createTurns(deps: TurnsDeps): Turns {
  const { store, feed, apps, live, members, carried, log } = deps

  /** Resolves at the next change, or when it is time to look anyway. */
  async function changed(changes: Changes, stop: AbortSignal): Promise<void> {
    await changes.next(AbortSignal.any([stop, AbortSignal.timeout(LOOK_AGAIN)])).catch(() => undefined)
  }

  async function abandoned(appIds?: readonly string[]): Promise<DeploymentRecord[]> {
    const open = await store.open(appIds)
    if (open.length === 0) return []
    // In this order: a replica that has come since then carries none of those.
    const living = await members.living()
    return open.filter(({ replica, deploymentId }) =>
      replica === members.id ? !carried.has(deploymentId) : !living.has(replica),
    )
  }

  async function end({ appId, deploymentId }: DeploymentRecord): Promise<boolean> {
    const app = await apps.findAny(appId)
    const isLive = app?.live?.deploymentId === deploymentId
    const report = failureOf(interrupted()) ?? internalFailure()
    const at = deps.now()
    if (!isLive) await live.noteFirstFailure(appId, report)
    const ended = await store.append(
      deploymentId,
      isLive
        ? { stage: 'ready', at }
        : { stage: 'failed', at, message: report.message, failure: { ...report, at } },
    )
    // Else another replica was faster.
    if (ended) log.info({ app_id: appId, deployment_id: deploymentId }, 'ended a deployment left unfinished')
    feed.changed({ deploymentId, appId })
    return ended
  }

  async function endAbandoned(appIds?: readonly string[]): Promise<readonly DeploymentRecord[]> {
    const ended: DeploymentRecord[] = []
    for (const deployment of await abandoned(appIds)) if (await end(deployment)) ended.push(deployment)
    return ended
  }

  return {
    async begin(deployment, stop) {
      using changes = feed.watchApp(deployment.appId)
      for (;;) {
        const turn = await store.begin(deployment)
        if (turn !== 'not yet') return turn === 'begun'
        // It runs into the signal at once, and says so in its own words.
        if (stop.aborted) return true
        await changed(changes, stop)
      }
    },

    endAbandoned,

    async othersDone(appId, stop) {
      using changes = feed.watchApp(appId)
      for (;;) {
        await endAbandoned([appId])
        const open = await store.open([appId])
        if (stop.aborted || open.every(({ replica }) => replica === members.id)) return
        await changed(changes, stop)
      }
    },
  }
}
