import { FILE_LIMITS, type ASSET_LIMITS } from '@fp/sdk/wire'

/** Files that a person gave, by where they go in the app. */
export interface Sorted {
  /** Text within the limits of files: edited like any other. */
  texts: Map<string, string>
  /** All else. */
  assets: Map<string, Blob>
}

/** What lies in a folder of its own stays in it; Python goes to the top, what a browser loads to static/. */
function pathOf(name: string, folder: string): string {
  if (folder) return `${folder}/${name}`
  return name.includes('/') || name.endsWith('.py') ? name : `static/${name}`
}

/**
 * Tells files that can be edited from those that are kept as bytes. `isAsset`: whether there is an asset of this path now,
 * which then stays one.
 */
export async function sortFiles(
  given: ReadonlyMap<string, Blob>,
  folder: string,
  isAsset: (path: string) => boolean,
): Promise<Sorted> {
  const sorted: Sorted = { texts: new Map(), assets: new Map() }
  for (const [name, blob] of given) {
    const path = pathOf(name, folder)
    const text = isAsset(path) ? undefined : await textOf(path, blob)
    if (text === undefined) sorted.assets.set(path, blob)
    else sorted.texts.set(path, text)
  }
  return sorted
}

async function textOf(path: string, blob: Blob): Promise<string | undefined> {
  const isText = FILE_LIMITS.extensions.some((extension) => path.endsWith(extension))
  if (!isText || blob.size > FILE_LIMITS.maxFileBytes) return undefined
  try {
    // A byte order mark stays: the app is to get what was given.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await blob.arrayBuffer())
  } catch {
    return undefined
  }
}

/** Requests of a size that the platform takes. A file that is too large goes too: the answer says what its limit is. */
export function inBatches(
  files: ReadonlyMap<string, Blob>,
  limits: Pick<typeof ASSET_LIMITS, 'maxFiles' | 'maxTotalBytes'>,
): Map<string, Blob>[] {
  const batches: Map<string, Blob>[] = []
  let current = new Map<string, Blob>()
  let bytes = 0
  for (const [path, blob] of files) {
    const full = current.size >= limits.maxFiles || bytes + blob.size > limits.maxTotalBytes
    if (full && current.size > 0) {
      batches.push(current)
      current = new Map()
      bytes = 0
    }
    current.set(path, blob)
    bytes += blob.size
  }
  if (current.size > 0) batches.push(current)
  return batches
}

/** The files of a drop, those in folders included, by their names within what was dropped. */
export async function droppedFiles(data: DataTransfer): Promise<Map<string, Blob>> {
  // Before anything is awaited: the browser empties the list afterwards.
  const dropped = [...data.items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const files = new Map<string, Blob>()
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, files)
    // What comes from no folder of the system, such as a picture out of another page.
    else if (file) files.set(file.name, file)
  }
  return files
}

async function collect(entry: FileSystemEntry, into: Map<string, Blob>): Promise<void> {
  // Of editors, systems and version control: never part of an app.
  if (entry.name.startsWith('.') || entry.name === '__pycache__') return
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    into.set(entry.fullPath.replace(/^\//, ''), file)
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) return
    for (const each of some) await collect(each, into)
  }
}
