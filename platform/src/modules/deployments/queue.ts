import type { JobQueue } from '../../jobs/queue.ts'
import { JobCancelled, QueueClosed, type JobHandler, type JobLimits } from '../../jobs/types.ts'
import type { LiveService } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'
import type { Log } from '../../logger.ts'
import { appDeleted, failureOf, internalFailure, interrupted, stopping } from './failure.ts'
import type { DeploymentFeed } from './feed.ts'
import type { DeploymentStore } from './store.ts'
import { isFinal, type DeploymentRecord } from './types.ts'

/** The job of a deployment has the deployment's id; its key is the app. */
export const DEPLOY = 'deploy'

export const DEPLOY_LIMITS: JobLimits = {
  work: 'deployments',
  // Deployments mostly wait for an app to start, and starts have a queue of their own (runtime/wakes.ts).
  atOnce: 32,
  atOncePerOwner: 4,
  most: 2_000,
  mostPerOwner: 100,
}

/** How long an ended job is kept, in ms. The deployment keeps its own history, so the job is of use only while it runs. */
const RETENTION = 24 * 3_600_000
/** How often to check older deployments, in ms, in case the feed has missed a change by another replica. */
const LOOK_AGAIN = 5_000

/** Age at which a deployment without a job has lost it, in ms. */
const JOB_MISSING_AFTER = 30_000

/** Why a deployment ends whose job could not end it. */
const REASONS = {
  cancelled: appDeleted,
  stopped: stopping,
  abandoned: interrupted,
  // `run` reports failures of apps itself. It rejects when it cannot, for example because MongoDB does not answer.
  failed: () => new Error('the deployment could not be completed'),
}

export interface DeployJobsDeps {
  readonly store: DeploymentStore
  readonly feed: DeploymentFeed
  readonly apps: AppService
  readonly live: LiveService
  readonly jobs: JobQueue
  readonly members: { readonly id: string; living(): Promise<Set<string>> }
  readonly run: (deployment: DeploymentRecord, stop: AbortSignal) => Promise<void>
  /** Called when the deployment has ended. */
  readonly ended: (deployment: DeploymentRecord) => void
  readonly log: Log
  readonly now: () => Date
}

/** Runs deployments as jobs, and ends those whose process no longer exists. */
export function createDeployJobs(deps: DeployJobsDeps) {
  const { store, feed, apps, live, jobs, log } = deps

  const handler: JobHandler<null> = {
    limits: DEPLOY_LIMITS,
    retention: RETENTION,
    // A deployment that went live long after its owner started it would surprise the owner.
    endsWithProcess: true,
    async run({ key: appId, id }, { signal }) {
      const deployment = await store.find(appId, id)
      if (!deployment) return
      const stop = new AbortController()
      const end = (): void => stop.abort(reasonOf(signal.reason))
      signal.addEventListener('abort', end)
      if (signal.aborted) end()
      await olderVersionsTurn(deployment, stop.signal)
      // If it was stopped meanwhile, `run` records the failure with the reason.
      await deps.run(deployment, stop.signal)
      deps.ended(deployment)
    },
    async ended({ key: appId, id }, as) {
      const deployment = await store.find(appId, id)
      if (!deployment) return
      await end(deployment, REASONS[as]())
      deps.ended(deployment)
    },
  }

  /** Ends the record, unless it has ended: as a success if the deployment is live, otherwise as a failure. */
  async function end(deployment: DeploymentRecord, why: Error): Promise<boolean> {
    const { appId, deploymentId } = deployment
    if (isFinal(deployment.stage)) return false
    const app = await apps.findAny(appId)
    const isLive = app?.live?.deploymentId === deploymentId
    const report = failureOf(why) ?? internalFailure()
    const at = deps.now()
    if (!isLive) await live.noteFirstFailure(appId, report)
    const ended = await store.append(
      deploymentId,
      isLive
        ? { stage: 'ready', at }
        : { stage: 'failed', at, message: report.message, failure: { ...report, at } },
    )
    // If not, another replica ended it first.
    if (ended) log.info({ app_id: appId, deployment_id: deploymentId }, 'ended a deployment left unfinished')
    feed.changed({ deploymentId, appId })
    return ended
  }

  /**
   * Unfinished deployments without a job, oldest first: of replicas of the previous fp version, or interrupted before their job
   * was stored. `before`: only those with a smaller order.
   */
  async function withoutJob(appIds?: readonly string[], before = Infinity): Promise<DeploymentRecord[]> {
    const open = (await store.open(appIds)).filter(({ order }) => order < before)
    if (open.length === 0) return []
    const queued = new Set(
      (await jobs.open(open.map(({ deploymentId }) => deploymentId))).map(({ id }) => id),
    )
    return open.filter(({ deploymentId }) => !queued.has(deploymentId))
  }

  async function endAbandoned(appIds?: readonly string[]): Promise<readonly DeploymentRecord[]> {
    const found = await withoutJob(appIds)
    if (found.length === 0) return []
    // Read after the deployments: a replica that has joined since then owns none of those.
    const living = await deps.members.living()
    const ended: DeploymentRecord[] = []
    for (const deployment of found) {
      const { replica, createdAt } = deployment
      // This replica stores a job right after its record. If the job is still missing, it could not.
      const isOwn =
        replica === deps.members.id && deps.now().getTime() - createdAt.getTime() > JOB_MISSING_AFTER
      if ((isOwn || !living.has(replica)) && (await end(deployment, interrupted()))) ended.push(deployment)
    }
    return ended
  }

  /** Replicas of the previous fp version run deployments without jobs. Waits until the app's older ones have ended. */
  async function olderVersionsTurn({ appId, order }: DeploymentRecord, stop: AbortSignal): Promise<void> {
    using changes = feed.watchApp(appId)
    while (!stop.aborted) {
      if ((await withoutJob([appId], order)).length === 0) return
      if ((await endAbandoned([appId])).length > 0) continue
      await changes.next(AbortSignal.any([stop, AbortSignal.timeout(LOOK_AGAIN)])).catch(() => undefined)
    }
  }

  return { handler, endAbandoned }
}

/** Why a deployment is stopped, as its owner reads it. */
function reasonOf(reason: unknown): unknown {
  if (reason instanceof JobCancelled) return appDeleted()
  return reason instanceof QueueClosed ? stopping() : reason
}
