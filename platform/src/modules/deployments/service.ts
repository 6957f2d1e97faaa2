import type { Files, Finding } from '@fp/sdk/wire'
import type { Membership } from '../../coordination/membership.ts'
import { FpError } from '../../errors.ts'
import type { JobQueue } from '../../jobs/queue.ts'
import { QueueClosed } from '../../jobs/types.ts'
import type { LiveService } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'
import type { Log } from '../../logger.ts'
import { toRecord } from '../drafts/files.ts'
import type { DraftService } from '../drafts/service.ts'
import type { PageRequest } from '../paging.ts'
import type { Validate } from '../validate.ts'
import type { VersionService } from '../versions/service.ts'
import { stopping } from './failure.ts'
import type { DeploymentFeed } from './feed.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import { createDeployJobs, DEPLOY } from './queue.ts'
import { DEPLOYMENTS, type DeploymentStore } from './store.ts'
import { isFinal, type DeploymentRecord, type StageEvent } from './types.ts'

/** How many deployments of an app are kept for its owner to read. */
const KEPT_DEPLOYMENTS = 100

/** An event and its number within its deployment, from 1. */
interface Numbered {
  readonly number: number
  readonly event: StageEvent
}

export interface DeploymentServiceDeps {
  readonly store: DeploymentStore
  readonly feed: DeploymentFeed
  readonly apps: AppService
  readonly live: LiveService
  readonly drafts: DraftService
  readonly versions: VersionService
  readonly validate: Validate
  readonly run: (deployment: DeploymentRecord, stop: AbortSignal) => Promise<void>
  readonly members: Membership
  readonly jobs: JobQueue
  readonly newId: () => string
  readonly log: Log
  readonly now: () => Date
}

export interface Accepted {
  readonly deployment: DeploymentRecord
  readonly warnings: Finding[]
}

export type DeploymentService = ReturnType<typeof createDeploymentService>

export function createDeploymentService(deps: DeploymentServiceDeps) {
  const { store, feed, apps, live, drafts, versions, members, jobs, log } = deps
  /** Takes numbers and stores their deployments one at a time for each app, so that the queue has the deployments in order. */
  const accepting = new KeyedQueue()
  const stopped = new AbortController()
  const deploys = createDeployJobs({
    store,
    feed,
    apps,
    live,
    jobs,
    members,
    run: deps.run,
    // Not awaited: `removeAll` waits for the deployments while it holds the app's turn in `accepting`.
    ended: ({ appId }) =>
      void accepting
        .run(appId, () => prune(appId))
        .catch((error: unknown) =>
          log.error({ err: error, app_id: appId }, 'could not complete a deployment'),
        ),
    log,
    now: deps.now,
  })
  jobs.handle(DEPLOY, deploys.handler)

  /** Runs `work` in the app's turn, unless no more deployments may be accepted. */
  function accept<T>(ownerId: string, appId: string, work: () => Promise<T>): Promise<T> {
    return accepting.run(appId, async () => {
      if (stopped.signal.aborted) throw stopping()
      try {
        jobs.refuseIfFull(DEPLOY, ownerId)
        return await work()
      } catch (error) {
        throw error instanceof QueueClosed ? stopping() : error
      }
    })
  }

  async function start(
    ownerId: string,
    appId: string,
    what: { version: number; order: number; kind: DeploymentRecord['kind']; first: StageEvent },
  ): Promise<DeploymentRecord> {
    const { first, ...rest } = what
    const deployment: DeploymentRecord = {
      deploymentId: deps.newId(),
      appId,
      ...rest,
      stage: first.stage,
      events: [first],
      failure: null,
      replica: members.id,
      createdAt: first.at,
      finishedAt: null,
    }
    const { deploymentId: id, order } = deployment
    await store.insert(deployment)
    try {
      await jobs.enqueue(DEPLOY, { id, key: appId, owner: ownerId, payload: null, order })
    } catch (error) {
      await store.remove(id)
      throw error
    }
    return deployment
  }

  async function prune(appId: string): Promise<void> {
    const [app, open] = await Promise.all([apps.findAny(appId), store.open([appId])])
    if (!app) {
      // The deployment was accepted while another replica deleted the app and perhaps removed its data before that.
      await versions.removeAll(appId)
      return store.removeAll(appId)
    }
    const inUse = open.map((deployment) => deployment.version)
    await versions.prune(appId, app.live ? [app.live.version, ...inUse] : inUse)
    await store.prune(appId, KEPT_DEPLOYMENTS)
  }

  async function find(ownerId: string, appId: string, deploymentId: string): Promise<DeploymentRecord> {
    await apps.find(ownerId, appId)
    const deployment = await store.find(appId, deploymentId)
    if (deployment) return deployment
    throw new FpError('FP_DEPLOYMENT_NOT_FOUND', 'The app has no such deployment.')
  }

  /**
   * The events after number `after`: first the past ones, then new ones until the deployment has ended. Call `find` first,
   * which checks the owner. Throws an AbortError when the signal aborts.
   */
  async function* follow(
    appId: string,
    deploymentId: string,
    options: { after: number; signal: AbortSignal },
  ): AsyncGenerator<Numbered> {
    // Watching starts before the read, so that no change between the two is missed.
    using changes = feed.watchDeployment(deploymentId)
    for (let { after } = options; ;) {
      const deployment = await store.find(appId, deploymentId)
      if (!deployment) return
      for (const [index, event] of deployment.events.entries()) {
        if (index >= after) yield { number: (after = index + 1), event }
      }
      if (isFinal(deployment.stage)) return
      await changes.next(options.signal)
    }
  }

  /** Resolves once all deployments that were accepted here have ended. */
  async function idle(): Promise<void> {
    await accepting.allIdle()
    await jobs.idle()
    await accepting.allIdle()
  }

  return {
    /**
     * Validates the draft (first replaced by `files`, if given), stores it as a version and queues its deployment.
     * Throws FP_VALIDATION_FAILED with all findings when one of them is an error, and FP_QUEUE_FULL.
     */
    async deploy(
      ownerId: string,
      appId: string,
      files: Files | undefined,
      signal: AbortSignal,
    ): Promise<Accepted> {
      const first: StageEvent = { stage: 'validating', at: deps.now() }
      const draft = files ? await drafts.save(ownerId, appId, files) : await drafts.get(ownerId, appId)
      const { entrypoint: setting } = await apps.find(ownerId, appId)
      const { findings, entrypoint } = await deps.validate(toRecord(draft.files), {
        userId: ownerId,
        signal,
        ...(setting === null ? {} : { entrypoint: setting }),
      })
      const errors = findings.filter((finding) => finding.severity === 'error').length
      if (errors > 0 || entrypoint === null) {
        throw new FpError(
          'FP_VALIDATION_FAILED',
          `The code has ${errors === 1 ? 'an error' : `${errors} errors`} and was not deployed. Each is in the details, with its place.`,
          { details: findings },
        )
      }
      const deployment = await accept(ownerId, appId, async () => {
        const { version, order } = await live.take(appId, { version: true, order: true })
        await versions.create(appId, version, draft, { entrypoint, setting })
        return start(ownerId, appId, { version, order, kind: 'deploy', first })
      })
      return { deployment, warnings: findings }
    },

    /** Makes a kept version live again, in the same way as a new one but without validation. */
    async rollback(ownerId: string, appId: string, version: number): Promise<Accepted> {
      await apps.find(ownerId, appId)
      const deployment = await accept(ownerId, appId, async () => {
        await versions.summary(appId, version)
        const { order } = await live.take(appId, { order: true })
        const first: StageEvent = {
          stage: 'validating',
          at: deps.now(),
          message: `Version ${version} was validated when it was made.`,
        }
        return start(ownerId, appId, { version, order, kind: 'rollback', first })
      })
      return { deployment, warnings: [] }
    },

    find,

    async list(ownerId: string, appId: string, page: PageRequest): Promise<DeploymentRecord[]> {
      await apps.find(ownerId, appId)
      return store.list(appId, page)
    },

    /** Which of the apps have an unfinished deployment. */
    async deploying(appIds: readonly string[]): Promise<Set<string>> {
      return new Set((await store.open(appIds)).map((deployment) => deployment.appId))
    },

    follow,
    /** The collection in which a change stream sees changes by any process. */
    collection: DEPLOYMENTS,
    /** For a caller that knows that the user may see the app. */
    byId: (appId: string, deploymentId: string): Promise<DeploymentRecord | undefined> =>
      store.find(appId, deploymentId),
    appOf: (deploymentId: string): Promise<string | undefined> => store.appOf(deploymentId),
    /** The number of clients that follow a deployment now. */
    watchers: (): number => feed.watchers(),

    /** Ends a deleted app's deployments, on whichever replica they run, then removes its deployments and versions. */
    async removeAll(appId: string): Promise<void> {
      // Runs after all deployments that are being accepted. No new ones follow, as the app is deleted.
      await accepting.run(appId, async () => {
        await jobs.cancel(DEPLOY, appId)
        await jobs.settled(DEPLOY, appId, stopped.signal)
        await versions.removeAll(appId)
        await store.removeAll(appId)
      })
    },

    /** Ends abandoned deployments that have no job. Runs at the start and then at intervals. */
    async recover(): Promise<void> {
      for (const { appId } of await deploys.endAbandoned()) await prune(appId)
    },

    idle,

    /** Accepts no more. Call it after the job queue was closed, which ends running and queued deployments with a reason. */
    async close(): Promise<void> {
      stopped.abort(stopping())
      await accepting.allIdle()
    },
  }
}
