import { createHash } from 'node:crypto'
import { sha256Of, type AssetRef } from '../assets/asset.ts'
import type { AppFile } from './files.ts'

/** Hash of the contents and of the entrypoint that the owner set; null: none is set. */
export function hashOf(contentsHash: string, entrypoint: string | null): string {
  return entrypoint === null ? contentsHash : `${contentsHash} ${entrypoint}`
}

/** The same for equal contents in any order. Lengths are hashed too, so that different contents never give the same input. */
export function hashContents(files: readonly AppFile[], assets: readonly AssetRef[]): string {
  const hash = createHash('sha256')
  const add = (part: string): void => void hash.update(`${Buffer.byteLength(part)}:`).update(part)
  for (const { path, text } of byPath(files)) {
    add(path)
    add(text)
  }
  // Without assets the hash is the one from before assets existed, so that apps that are live keep theirs.
  if (assets.length > 0) hash.update('assets')
  for (const { path, blob } of byPath(assets)) {
    add(path)
    add(sha256Of(blob))
  }
  return hash.digest('hex')
}

function byPath<T extends { readonly path: string }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => (a.path < b.path ? -1 : 1))
}
