import { ASSET_LIMITS, showPath, type RefusedAsset } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { noSuchApp, type AppService } from '../app-records/service.ts'
import { blobsOf, type AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import { checkAssetPath, checkAssets, checkAssetSize, withAsset } from './assets.ts'
import { hashContents } from './hash.ts'
import { refuse } from './paths.ts'
import type { DraftRecord, DraftStore } from './store.ts'

/** A file of an upload. */
export interface UploadedFile {
  readonly path: string
  readonly bytes: number
  /** Undefined when the file is larger than an asset may be: it was read and discarded. */
  readonly content: Buffer | undefined
}

export interface Uploaded {
  readonly assets: readonly AssetRef[]
  readonly saved: readonly string[]
  readonly refused: readonly RefusedAsset[]
}

export interface DraftAssetServiceDeps {
  readonly store: DraftStore
  readonly apps: AppService
  readonly assets: AssetService
  readonly now: () => Date
}

export type DraftAssetService = ReturnType<typeof createDraftAssetService>

/** The assets of an app as they are being edited. Each upload or change is saved as a whole or not at all. */
export function createDraftAssetService(deps: DraftAssetServiceDeps) {
  const { store, apps } = deps

  async function load(ownerId: string, appId: string): Promise<DraftRecord> {
    await apps.find(ownerId, appId)
    const draft = await store.find(appId)
    if (!draft) throw noSuchApp(appId)
    return draft
  }

  /** Applies the change to the current draft, and again when another change was saved meanwhile. */
  async function change(
    ownerId: string,
    appId: string,
    apply: (assets: readonly AssetRef[]) => readonly AssetRef[],
  ): Promise<readonly AssetRef[]> {
    for (;;) {
      const draft = await load(ownerId, appId)
      const assets = checkAssets(
        apply(draft.assets),
        draft.files.map((file) => file.path),
      )
      const after = new Set(blobsOf(assets))
      await deps.assets.hold([...after])
      await deps.assets.release(blobsOf(draft.assets).filter((blob) => !after.has(blob)))
      const hash = hashContents(draft.files, assets)
      if (await store.replaceAssets(appId, draft, { assets, hash, updatedAt: deps.now() })) return assets
    }
  }

  return {
    /**
     * Saves the files that are allowed, replaces assets of the same path, and returns why the others were refused. An upload
     * that breaks off changes nothing.
     */
    async upload(ownerId: string, appId: string, files: AsyncIterable<UploadedFile>): Promise<Uploaded> {
      const draft = await load(ownerId, appId)
      const taken = draft.files.map((file) => file.path)
      let planned: readonly AssetRef[] = draft.assets
      const added = new Map<string, AssetRef>()
      const refused: RefusedAsset[] = []
      for await (const { path, bytes, content } of files) {
        try {
          checkAssetPath(path)
          checkAssetSize(path, bytes)
          if (added.has(path)) throw twice(path)
          // A file that cannot be in the draft is not stored.
          checkAssets(withAsset(planned, { path, blob: '', bytes }), taken)
          const asset = { path, blob: await deps.assets.keep(ownerId, content!), bytes }
          added.set(path, asset)
          planned = withAsset(planned, asset)
        } catch (error) {
          if (!(error instanceof FpError)) throw error
          refused.push({ path: path.slice(0, 500), code: error.code, message: error.message })
        }
      }
      if (added.size === 0) throw nothingSaved(refused)
      const assets = await change(ownerId, appId, (before) => [...added.values()].reduce(withAsset, before))
      return { assets, saved: [...added.keys()], refused }
    },

    /** Path → new path, or null to delete. All changes or none are made. A new path must be free, or become so by them. */
    async rename(
      ownerId: string,
      appId: string,
      changes: Readonly<Record<string, string | null>>,
    ): Promise<readonly AssetRef[]> {
      const moves = new Map(Object.entries(changes))
      for (const to of moves.values()) if (to !== null) checkAssetPath(to)
      return change(ownerId, appId, (before) => {
        for (const path of moves.keys()) find(before, path)
        return before.flatMap((asset) => {
          const to = moves.get(asset.path)
          if (to === null) return []
          return [to === undefined ? asset : { ...asset, path: to }]
        })
      })
    },

    async find(ownerId: string, appId: string, path: string): Promise<AssetRef> {
      return find((await load(ownerId, appId)).assets, path)
    },

    read: (asset: AssetRef): Promise<Buffer> => deps.assets.read(asset.blob),
  }
}

function find(assets: readonly AssetRef[], path: string): AssetRef {
  const asset = assets.find((one) => one.path === path)
  if (asset) return asset
  throw refuse('FP_ASSET_NOT_FOUND', `The app has no asset ${showPath(path)}.`, { file: path.slice(0, 500) })
}

function twice(path: string): FpError {
  return refuse('FP_FILE_PATH', `The upload holds ${showPath(path)} more than once.`, { file: path })
}

/** The error has the code of the first refused file, so an upload of one file fails with that file's error. */
function nothingSaved(refused: readonly RefusedAsset[]): FpError {
  const [first] = refused
  if (!first) {
    return new FpError(
      'FP_INVALID_MULTIPART',
      'The upload holds no file. Send each as a part of a multipart form whose field name is the path: static/logo.png.',
    )
  }
  const rest = refused.length > 1 ? ` The other ${refused.length - 1} were not saved either.` : ''
  return new FpError(first.code as FpError['code'], first.message + rest, {
    details: { refused, limits: ASSET_LIMITS },
  })
}
