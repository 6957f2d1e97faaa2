import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { newId } from '../../ids.ts'
import type { AppSpec } from '../runtime.ts'

/**
 * Puts a version's files into a folder of their own and returns it. The database holds the truth; this is a cache that
 * may be deleted at any time. Written beside its place and renamed, so that a folder that exists is whole.
 */
export async function materialize(root: string, spec: AppSpec): Promise<string> {
  const target = join(root, spec.appId, `v${spec.version}`)
  if (await exists(target)) return target
  const draft = join(root, spec.appId, `.${newId('tmp')}`)
  for (const [path, text] of Object.entries(spec.files)) {
    const file = join(draft, path)
    await mkdir(dirname(file), { recursive: true, mode: 0o755 })
    await writeFile(file, text, { mode: 0o644 })
  }
  try {
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!(await exists(target))) throw error
  }
  return target
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
