import { ASSET_LIMITS, assetExtensionFault, showPath } from '@fp/sdk/wire'
import type { AssetRef } from '../assets/asset.ts'
import { checkClashes, checkPath, kilobytes, refuse } from './paths.ts'

/** Checks the path of an asset. Throws an FpError that names the path and the reason. */
export function checkAssetPath(path: string): void {
  checkPath(path)
  const fault = assetExtensionFault(path)
  if (fault)
    throw refuse('FP_FILE_EXTENSION', `The asset ${showPath(path)} cannot be kept: ${fault}`, { file: path })
}

export function checkAssetSize(path: string, bytes: number): void {
  if (bytes <= ASSET_LIMITS.maxFileBytes) return
  throw refuse(
    'FP_FILE_TOO_LARGE',
    `The asset ${showPath(path)} has ${megabytes(bytes)}; at most ${megabytes(ASSET_LIMITS.maxFileBytes)} an asset are allowed. Serve larger files from elsewhere.`,
    { file: path, limit: ASSET_LIMITS.maxFileBytes },
  )
}

/** Checks all assets of an app together with the paths of its files. Returns the assets sorted by path. */
export function checkAssets(assets: readonly AssetRef[], files: readonly string[]): AssetRef[] {
  if (assets.length > ASSET_LIMITS.maxFiles) {
    throw refuse(
      'FP_TOO_MANY_FILES',
      `The app would have ${assets.length} assets; at most ${ASSET_LIMITS.maxFiles} are allowed. Delete some first.`,
      { count: assets.length, limit: ASSET_LIMITS.maxFiles },
    )
  }
  const total = assetBytes(assets)
  if (total > ASSET_LIMITS.maxTotalBytes) {
    throw refuse(
      'FP_FILES_TOO_LARGE',
      `The app's assets would have ${megabytes(total)} together; at most ${megabytes(ASSET_LIMITS.maxTotalBytes)} are allowed. Delete some first, or make them smaller.`,
      { bytes: total, limit: ASSET_LIMITS.maxTotalBytes },
    )
  }
  checkClashes([...files, ...assets.map((asset) => asset.path)])
  return [...assets].sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function assetBytes(assets: readonly AssetRef[]): number {
  return assets.reduce((sum, asset) => sum + asset.bytes, 0)
}

/** Adds an asset, in the place of one with the same path. */
export function withAsset(assets: readonly AssetRef[], added: AssetRef): AssetRef[] {
  return [...assets.filter((asset) => asset.path !== added.path), added]
}

function megabytes(bytes: number): string {
  return bytes < 1024 * 1024 ? kilobytes(bytes) : `${Math.ceil((bytes / 1024 / 1024) * 100) / 100} MB`
}
