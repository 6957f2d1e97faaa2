import type { Files } from '@fp/sdk/wire'

/** Unsaved files, kept on this device until the server has them. */
export interface LocalCopy {
  files: Files
  /** The draft's revision that the files were changed from. */
  revision: number
  /** ms since 1970. */
  at: number
}

type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem'>
const key = (appId: string): string => `fp:unsaved:${appId}`

/** False when the browser refuses (storage full or forbidden). Then leaving the page would lose the changes. */
export function keepCopy(storage: Storage, appId: string, copy: LocalCopy): boolean {
  try {
    storage.setItem(key(appId), JSON.stringify(copy))
    return true
  } catch {
    return false
  }
}

export function dropCopy(storage: Storage, appId: string): void {
  try {
    storage.removeItem(key(appId))
  } catch {
    // Storage is forbidden, so there is no copy either.
  }
}

/** The copy that a crash or a lost connection left. Undefined when there is none, when it is broken, or when it equals the draft. */
export function findCopy(storage: Storage, appId: string, draft: Files): LocalCopy | undefined {
  try {
    const copy = JSON.parse(storage.getItem(key(appId)) ?? 'null') as LocalCopy | null
    if (!copy || typeof copy.files !== 'object' || typeof copy.at !== 'number') return undefined
    return changedPaths(copy.files, draft).length === 0 ? undefined : copy
  } catch {
    return undefined
  }
}

/** The paths whose text differs, in order. */
export function changedPaths(a: Files, b: Files): string[] {
  const paths = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...paths].filter((path) => a[path] !== b[path]).sort()
}
