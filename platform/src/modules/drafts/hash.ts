import { createHash } from 'node:crypto'
import { sha256Of, type AssetRef } from '../assets/asset.ts'
import type { AppFile } from './files.ts'

/** Of contents and what the owner set to be served; null: nothing, so that it is looked for in the files. */
export function hashOf(contentsHash: string, entrypoint: string | null): string {
  return entrypoint === null ? contentsHash : `${contentsHash} ${entrypoint}`
}

/** Equal for equal contents, whatever their order; lengths are hashed too, so that no two sets run into one. */
export function hashContents(files: readonly AppFile[], assets: readonly AssetRef[]): string {
  const hash = createHash('sha256')
  const add = (part: string): void => void hash.update(`${Buffer.byteLength(part)}:`).update(part)
  for (const { path, text } of byPath(files)) {
    add(path)
    add(text)
  }
  // Without assets it is what it was before there were any: an app that is live keeps its hash.
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
