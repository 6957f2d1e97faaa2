import type { TargetPhase } from '@fp/scaler'
import type { AppStatus, EnvVar } from '@fp/sdk/wire'
import type { Targets } from '../../runtime/targets.ts'
import { liveKey } from '../app-records/live-service.ts'
import type { AppService } from '../app-records/service.ts'
import { statusOf } from '../app-records/status.ts'
import type { AppDetailView, AppView, AppViews } from './ports.ts'
import type { AppSummary } from '../app-records/types.ts'
import { toRecord } from '../drafts/files.ts'
import { hashOf } from '../drafts/hash.ts'
import type { DraftService, DraftSummary } from '../drafts/service.ts'
import type { DeploymentService } from '../deployments/service.ts'

export interface ViewDeps {
  readonly apps: AppService
  readonly drafts: DraftService
  readonly deployments: DeploymentService
  readonly targets: Targets
  readonly storageLimitBytes: number
}

/** Apps as their owner sees them: the record, joined with the draft, the deployments and the live target's phase. */
export function createViews(deps: ViewDeps): AppViews {
  const { apps, drafts, deployments, targets } = deps

  function view(
    app: AppSummary,
    draft: DraftSummary | undefined,
    deploying: boolean,
    phase: TargetPhase,
  ): AppView {
    const status: AppStatus = statusOf(app, deploying, phase)
    return {
      app,
      status,
      hasUnpublishedChanges:
        app.live === null || !draft || hashOf(draft.hash, app.entrypoint) !== app.live.hash,
      draftRevision: draft?.revision ?? 0,
      assetsRevision: draft?.assetsRevision ?? 0,
      storageLimitBytes: deps.storageLimitBytes,
      asleepSince: status === 'sleeping' ? app.sleptAt : null,
      updatedAt: draft && draft.updatedAt > app.updatedAt ? draft.updatedAt : app.updatedAt,
    }
  }

  /** The phase of each app's live target. */
  async function phasesOf(records: readonly AppSummary[]): Promise<Map<string, TargetPhase>> {
    const live = records.flatMap((app) => {
      const key = liveKey(app.appId, app.live)
      return key ? [{ appId: app.appId, key }] : []
    })
    if (live.length === 0) return new Map()
    const phases = await targets.phases(live.map(({ key }) => key))
    return new Map(live.map(({ appId }, index) => [appId, phases[index]!]))
  }

  /** Makes two reads and one request to the gate, however many apps there are. */
  async function views(records: readonly AppSummary[]): Promise<AppView[]> {
    const ids = records.map((app) => app.appId)
    const [summaries, deploying, phases] = await Promise.all([
      drafts.summaries(ids),
      deployments.deploying(ids),
      phasesOf(records),
    ])
    return records.map((app) =>
      view(app, summaries.get(app.appId), deploying.has(app.appId), phases.get(app.appId) ?? 'asleep'),
    )
  }

  return {
    async one(ownerId, appId) {
      const [found] = await views([await apps.find(ownerId, appId)])
      if (!found) throw new Error('one app gave no view')
      return found
    },
    async detail(ownerId, appId): Promise<AppDetailView> {
      const app = await apps.find(ownerId, appId)
      const [draft, deploying, phases] = await Promise.all([
        drafts.get(ownerId, appId),
        deployments.deploying([appId]),
        phasesOf([app]),
      ])
      const env: EnvVar[] = await apps.showEnv(app)
      const { files, assets, revision, updatedAt } = draft
      return {
        ...view(app, draft, deploying.has(appId), phases.get(appId) ?? 'asleep'),
        draft: { files: toRecord(files), assets, revision, updatedAt },
        env,
      }
    },
    some: async (ownerId, appIds) => (appIds.length === 0 ? [] : views(await apps.some(ownerId, appIds))),
    list: async (ownerId, page) => views(await apps.list(ownerId, page)),
  }
}
