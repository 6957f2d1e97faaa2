import type { Files, Finding } from '@fp/sdk/wire'
import type { Membership } from '../../coordination/membership.ts'
import { FpError } from '../../errors.ts'
import type { JobQueue } from '../../jobs/queue.ts'
import { QueueClosed } from '../../jobs/types.ts'
import type { LiveService } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'
import type { Log } from '../background.ts'
import { toRecord } from '../drafts/files.ts'
import type { DraftService } from '../drafts/service.ts'
import type { PageRequest } from '../paging.ts'
import type { Validate } from '../validate.ts'
import type { VersionService } from '../versions/service.ts'
import { stopping } from './failure.ts'
import type { DeploymentFeed } from './feed.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import { createDeployJobs, DEPLOY } from './queue.ts'
import type { DeploymentStore } from './store.ts'
import { isFinal, type DeploymentRecord, type StageEvent } from './types.ts'

/** Deployments of an app that are kept for its owner to read. */
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
  /** Taking numbers and storing what they are for: short, in order, so that an app's queue runs in the order of its deployments. */
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
    // Not awaited: `removeAll` waits for the deployments while it holds the place in `accepting`.
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

  /** Runs where numbers are taken, unless no more may be accepted. */
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
      // It was accepted while another replica deleted the app, which may have cleared up before.
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
   * The events after number `after`, those that were and then those that come, until the deployment has ended. Ask `find`
   * first whether the asker may. Throws an AbortError when the signal fires.
   */
  async function* follow(
    appId: string,
    deploymentId: string,
    options: { after: number; signal: AbortSignal },
  ): AsyncGenerator<Numbered> {
    // Watching starts before the read, so that nothing falls between the two.
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

  /** Resolves once all that were accepted here have ended. */
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

    /** Makes a kept version live again, by the same way as a new one but for the validation. */
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
    /** How many follow a deployment now. */
    watchers: (): number => feed.watchers(),

    /** Ends what runs of a deleted app, at whichever replica, then removes its deployments and versions. */
    async removeAll(appId: string): Promise<void> {
      // Behind every acceptance that was under way; there are no new ones, for the app is gone.
      await accepting.run(appId, async () => {
        await jobs.cancel(DEPLOY, appId)
        await jobs.settled(DEPLOY, appId, stopped.signal)
        await versions.removeAll(appId)
        await store.removeAll(appId)
      })
    },

    /** At boot and now and then: what has no job does not stay unfinished. */
    async recover(): Promise<void> {
      for (const { appId } of await deploys.endAbandoned()) await prune(appId)
    },

    idle,

    /** Takes no more, after the queue of jobs was closed: that has ended those under way and queued, with a plain reason. */
    async close(): Promise<void> {
      stopped.abort(stopping())
      await accepting.allIdle()
    },
  }
}
