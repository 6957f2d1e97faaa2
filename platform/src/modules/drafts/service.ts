import type { Files } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { noSuchApp, type AppService } from '../apps/service.ts'
import { checkFiles, type AppFile } from './files.ts'
import { hashFiles } from './hash.ts'
import type { DraftRecord, DraftStore, DraftSummary } from './store.ts'

export type { DraftSummary }

export interface DraftServiceDeps {
  readonly store: DraftStore
  readonly apps: AppService
  readonly now: () => Date
}

export type DraftService = ReturnType<typeof createDraftService>

/** The files of an app as they are being edited. A save replaces them all. */
export function createDraftService(deps: DraftServiceDeps) {
  const { store, apps } = deps

  async function save(
    appId: string,
    files: readonly AppFile[],
    revision: number | undefined,
  ): Promise<DraftRecord> {
    const draft = { files, hash: hashFiles(files), updatedAt: deps.now() }
    const saved = await store.replace(appId, revision, draft)
    if (saved) return saved
    const current = await store.find(appId)
    if (!current) throw noSuchApp(appId)
    throw new FpError(
      'FP_DRAFT_CONFLICT',
      `Someone else saved the draft since: you edited revision ${revision}, it is at revision ${current.revision} now. Load it again and repeat your change, or save without a revision to replace it.`,
      { details: { revision: current.revision, updated_at: current.updatedAt.toISOString() } },
    )
  }

  return {
    /** For an app whose record does not exist yet: an app is never seen without a draft. */
    async create(appId: string, files: readonly AppFile[]): Promise<DraftRecord> {
      const draft = { appId, files, hash: hashFiles(files), revision: 1, updatedAt: deps.now() }
      await store.insert(draft)
      return draft
    },

    async get(ownerId: string, appId: string): Promise<DraftRecord> {
      await apps.find(ownerId, appId)
      const draft = await store.find(appId)
      if (!draft) throw noSuchApp(appId)
      return draft
    },

    /** Throws FP_DRAFT_CONFLICT when `revision` is given and no longer the draft's, and the errors of `checkFiles`. */
    async save(ownerId: string, appId: string, files: Files, revision?: number): Promise<DraftRecord> {
      await apps.find(ownerId, appId)
      return save(appId, checkFiles(files), revision)
    },

    summaries: (appIds: readonly string[]): Promise<Map<string, DraftSummary>> => store.summaries(appIds),
    remove: (appId: string): Promise<void> => store.remove(appId),
  }
}
