import { createHash } from 'node:crypto'
import type { AppFile } from './files.ts'

/** Equal for equal file sets, whatever their order; lengths are hashed too, so that no two sets run into one. */
export function hashFiles(files: readonly AppFile[]): string {
  const hash = createHash('sha256')
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    for (const part of [file.path, file.text]) {
      hash.update(`${Buffer.byteLength(part)}:`).update(part)
    }
  }
  return hash.digest('hex')
}
