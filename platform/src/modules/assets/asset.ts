import { mediaType, type Asset } from '@fp/sdk/wire'

/** A file of an app whose content is a blob. Drafts and versions hold such references; the bytes are stored once. */
export interface AssetRef {
  readonly path: string
  readonly blob: BlobId
  readonly bytes: number
}

/**
 * `<owner>.<sha256 in hex>`: equal contents of one user are one blob. Users share no blobs, so that nobody can find out by
 * an upload whether another user has the same content.
 */
export type BlobId = string

export function blobId(ownerId: string, sha256: string): BlobId {
  return `${ownerId}.${sha256}`
}

export function sha256Of(blob: BlobId): string {
  return blob.slice(blob.lastIndexOf('.') + 1)
}

export function assetToWire({ path, blob, bytes }: AssetRef): Asset {
  return { path, bytes, type: mediaType(path), sha256: sha256Of(blob) }
}

export function blobsOf(assets: readonly AssetRef[]): BlobId[] {
  return [...new Set(assets.map((asset) => asset.blob))]
}
