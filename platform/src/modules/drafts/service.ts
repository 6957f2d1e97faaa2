import type { Files } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { noSuchApp, type AppService } from '../app-records/service.ts'
import { blobsOf, type AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import { checkFiles, type AppFile } from './files.ts'
import { hashContents } from './hash.ts'
import { DRAFTS, type DraftRecord, type DraftStore, type DraftSummary } from './store.ts'

export type { DraftSummary }

export interface DraftServiceDeps {
  readonly store: DraftStore
  readonly apps: AppService
  readonly assets: Pick<AssetService, 'hold' | 'release'>
  readonly now: () => Date
}

export type DraftService = ReturnType<typeof createDraftService>

/** What a new app starts with. */
export interface Contents {
  readonly files: readonly AppFile[]
  readonly assets: readonly AssetRef[]
}

/** The files of an app as they are being edited. A save replaces all of them. The assets have a service of their own. */
export function createDraftService(deps: DraftServiceDeps) {
  const { store, apps, assets } = deps

  async function load(appId: string): Promise<DraftRecord> {
    const draft = await store.find(appId)
    if (!draft) throw noSuchApp(appId)
    return draft
  }

  async function save(appId: string, files: Files, revision: number | undefined): Promise<DraftRecord> {
    for (;;) {
      const before = (await store.summaries([appId])).get(appId)
      if (!before) throw noSuchApp(appId)
      if (revision !== undefined && revision !== before.revision) throw conflict(revision, before)
      const checked = checkFiles(
        files,
        before.assets.map((asset) => asset.path),
      )
      const draft = {
        files: checked,
        hash: hashContents(checked, before.assets),
        updatedAt: deps.now(),
      }
      const saved = await store.replaceFiles(appId, { ...before, revision }, draft)
      // If not, another change was saved first: of the files, which the next turn detects, or of the assets.
      if (saved) return saved
    }
  }

  return {
    /** The collection in which a change stream sees changes by any process. */
    collection: DRAFTS,
    /** Creates the draft before the app's record, so that no app is seen without a draft. */
    async create(appId: string, contents: Contents): Promise<void> {
      await assets.hold(blobsOf(contents.assets))
      await store.insert({
        appId,
        ...contents,
        hash: hashContents(contents.files, contents.assets),
        revision: 1,
        assetsRevision: 0,
        updatedAt: deps.now(),
      })
    },

    async get(ownerId: string, appId: string): Promise<DraftRecord> {
      await apps.find(ownerId, appId)
      return load(appId)
    },

    /** Throws FP_DRAFT_CONFLICT when `revision` is given and is not the draft's, and the errors of `checkFiles`. */
    async save(ownerId: string, appId: string, files: Files, revision?: number): Promise<DraftRecord> {
      await apps.find(ownerId, appId)
      return save(appId, files, revision)
    },

    summaries: (appIds: readonly string[]): Promise<Map<string, DraftSummary>> => store.summaries(appIds),

    async remove(appId: string): Promise<void> {
      const draft = (await store.summaries([appId])).get(appId)
      if (draft) await assets.release(blobsOf(draft.assets))
      await store.remove(appId)
    },
  }
}

function conflict(revision: number, current: DraftSummary): FpError {
  return new FpError(
    'FP_DRAFT_CONFLICT',
    `Someone else saved the draft since: you edited revision ${revision}, it is at revision ${current.revision} now. Load it again and repeat your change, or save without a revision to replace it.`,
    { details: { revision: current.revision, updated_at: current.updatedAt.toISOString() } },
  )
}
