import { FpError } from '../../errors.ts'
import type { AppService } from '../apps/service.ts'
import type { AppFile } from '../drafts/files.ts'
import { totalBytes } from '../drafts/files.ts'
import { hashFiles } from '../drafts/hash.ts'
import type { PageRequest } from '../paging.ts'
import type { VersionRecord, VersionStore, VersionSummary } from './store.ts'

/** Newest versions of an app that are kept; the live one is kept besides, however old. */
export const KEPT_VERSIONS = 10

export interface VersionServiceDeps {
  readonly store: VersionStore
  readonly apps: AppService
  readonly now: () => Date
}

export type VersionService = ReturnType<typeof createVersionService>

/** The files as they were deployed. A version never changes. */
export function createVersionService(deps: VersionServiceDeps) {
  const { store, apps } = deps

  return {
    async create(appId: string, version: number, files: readonly AppFile[]): Promise<VersionSummary> {
      const summary = {
        appId,
        version,
        hash: hashFiles(files),
        fileCount: files.length,
        totalBytes: totalBytes(files),
        createdAt: deps.now(),
      }
      await store.insert({ ...summary, files })
      return summary
    },

    /** Newest first, with the number of the live one. */
    async list(
      ownerId: string,
      appId: string,
      page: PageRequest,
    ): Promise<{ versions: VersionSummary[]; live: number | undefined }> {
      const app = await apps.find(ownerId, appId)
      return { versions: await store.list(appId, page), live: app.live?.version }
    },

    async get(
      ownerId: string,
      appId: string,
      version: number,
    ): Promise<{ record: VersionRecord; live: number | undefined }> {
      const app = await apps.find(ownerId, appId)
      return { record: found(await store.find(appId, version), version), live: app.live?.version }
    },

    /** Not of any owner: for starting an app. */
    async load(appId: string, version: number): Promise<VersionRecord> {
      return found(await store.find(appId, version), version)
    },

    async summary(appId: string, version: number): Promise<VersionSummary> {
      return found(await store.exists(appId, version), version)
    },

    /** `inUse`: versions that are live or about to be. */
    prune: (appId: string, inUse: readonly number[]): Promise<number> =>
      store.prune(appId, KEPT_VERSIONS, inUse),
    removeAll: (appId: string): Promise<void> => store.removeAll(appId),
  }
}

function found<T>(version: T | undefined, number: number): T {
  if (version !== undefined) return version
  throw new FpError(
    'FP_VERSION_NOT_FOUND',
    `The app has no version ${number}. It never had one, or it is no longer kept: the last ${KEPT_VERSIONS} are.`,
    { details: { version: number } },
  )
}
