import { FpError } from '../../errors.ts'
import type { AppService } from '../app-records/service.ts'
import { blobsOf, type AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import { assetBytes } from '../drafts/assets.ts'
import { totalBytes } from '../drafts/files.ts'
import { hashContents, hashOf } from '../drafts/hash.ts'
import type { Contents } from '../drafts/service.ts'
import type { PageRequest } from '../paging.ts'
import { foundVersion, KEPT_VERSIONS } from './load.ts'
import type { VersionRecord, VersionStore, VersionSummary } from './store.ts'

export interface VersionServiceDeps {
  readonly store: VersionStore
  readonly apps: AppService
  readonly assets: AssetService
  readonly now: () => Date
}

/** What becomes of an app's versions. */
export interface VersionStates {
  readonly live: number | undefined
  /** Those of the asked versions whose deployments all failed because the app did not start. */
  readonly failedToStart: ReadonlySet<number>
}

/** Tells which of the versions failed to start in all their deployments. */
type FailedToStart = (appId: string, versions: readonly number[]) => Promise<ReadonlySet<number>>

export type VersionService = ReturnType<typeof createVersionService>

/** The files and assets as they were deployed. A version never changes. */
export function createVersionService(deps: VersionServiceDeps) {
  const { store, apps, assets } = deps
  let failedToStart: FailedToStart = async () => new Set()

  return {
    /** Registers the module that knows the deployments of versions. */
    failuresKnownBy: (source: FailedToStart): void => void (failedToStart = source),

    async create(
      appId: string,
      version: number,
      contents: Contents,
      served: { readonly entrypoint: string; readonly setting: string | null },
    ): Promise<VersionSummary> {
      await assets.hold(blobsOf(contents.assets))
      const summary = {
        appId,
        version,
        hash: hashOf(hashContents(contents.files, contents.assets), served.setting),
        entrypoint: served.entrypoint,
        fileCount: contents.files.length + contents.assets.length,
        totalBytes: totalBytes(contents.files) + assetBytes(contents.assets),
        createdAt: deps.now(),
      }
      await store.insert({ ...summary, files: contents.files, assets: contents.assets })
      return summary
    },

    /** The versions, newest first. */
    async list(
      ownerId: string,
      appId: string,
      page: PageRequest,
    ): Promise<{ versions: VersionSummary[] } & VersionStates> {
      const app = await apps.find(ownerId, appId)
      const versions = await store.list(appId, page)
      const numbers = versions.map(({ version }) => version)
      return { versions, live: app.live?.version, failedToStart: await failedToStart(appId, numbers) }
    },

    async get(
      ownerId: string,
      appId: string,
      version: number,
    ): Promise<{ record: VersionRecord } & VersionStates> {
      const app = await apps.find(ownerId, appId)
      const record = foundVersion(await store.find(appId, version), version)
      return { record, live: app.live?.version, failedToStart: await failedToStart(appId, [version]) }
    },

    async summary(appId: string, version: number): Promise<VersionSummary> {
      return foundVersion(await store.exists(appId, version), version)
    },

    async asset(ownerId: string, appId: string, version: number, path: string): Promise<AssetRef> {
      await apps.find(ownerId, appId)
      const record = foundVersion(await store.find(appId, version), version)
      const asset = record.assets.find((one) => one.path === path)
      if (asset) return asset
      throw new FpError(
        'FP_ASSET_NOT_FOUND',
        `Version ${version} has no asset ${JSON.stringify(path.slice(0, 200))}.`,
      )
    },

    read: (asset: AssetRef): Promise<Buffer> => assets.read(asset.blob),

    /** `inUse`: versions that are live or about to be. */
    async prune(appId: string, inUse: readonly number[]): Promise<void> {
      const outdated = await store.outdated(appId, KEPT_VERSIONS, inUse)
      if (outdated.length === 0) return
      await assets.release(await store.blobs(appId, outdated))
      await store.remove(appId, outdated)
    },

    async removeAll(appId: string): Promise<void> {
      await assets.release(await store.blobs(appId))
      await store.remove(appId)
    },
  }
}
