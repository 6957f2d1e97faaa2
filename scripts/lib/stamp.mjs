import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inRoot } from './paths.mjs'

const SKIPPED = new Set(['node_modules', 'build', 'dist', '.svelte-kit', '__pycache__'])

/** A hash of files, of all files in folders (by their paths below the root), and of further texts. */
export function hashOf(names, ...texts) {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text}\0`)
  const add = (name) => {
    try {
      const entries = readdirSync(inRoot(name), { withFileTypes: true })
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (!SKIPPED.has(entry.name)) add(path.join(name, entry.name))
      }
    } catch (error) {
      if (error.code === 'ENOENT') return
      if (error.code !== 'ENOTDIR') throw error
      hash.update(`${name}\0`).update(readFileSync(inRoot(name)))
    }
  }
  names.forEach(add)
  return hash.digest('hex')
}

/** A stamp records the hash of the inputs from which something was made. */
export function isStamped(file, hash) {
  try {
    return readFileSync(file, 'utf8') === hash
  } catch {
    return false
  }
}

export function stamp(file, hash) {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, hash)
}
