import { FILE_LIMITS, mediaType, type ASSET_LIMITS } from '@fp/sdk/wire'
import { plural } from '#lib/ui/format.ts'
import { isEnvFile } from './paths.ts'

/** Files that a person gave, by where they go in the app. */
export interface Sorted {
  /** Text within the limits of files: edited like any other. */
  texts: Map<string, string>
  /** All else. */
  assets: Map<string, Blob>
}

/** What a page in a browser loads. */
const FOR_BROWSERS = /^(?:image\/|font\/|text\/(?:css|javascript)$)/

/**
 * Into the folder that was chosen. At the top a file takes the place of its namesake; what a browser loads goes to static/
 * where the app has that folder: from there an app serves it. All else stays at the top, which nobody can read by a URL.
 */
function pathOf(name: string, folder: string, paths: readonly string[]): string {
  if (folder) return `${folder}/${name}`
  const isServed = FOR_BROWSERS.test(mediaType(name)) && paths.some((path) => path.startsWith('static/'))
  return isServed && !name.includes('/') && !paths.includes(name) ? `static/${name}` : name
}

/**
 * Tells files that can be edited from those that are kept as bytes. `paths` are those of the app; `isAsset`: whether there is
 * an asset of this path now, which then stays one.
 */
export async function sortFiles(
  given: ReadonlyMap<string, Blob>,
  folder: string,
  paths: readonly string[],
  isAsset: (path: string) => boolean,
): Promise<Sorted> {
  const sorted: Sorted = { texts: new Map(), assets: new Map() }
  for (const [name, blob] of given) {
    const path = pathOf(name, folder, paths)
    const text = isAsset(path) ? undefined : await textOf(path, blob)
    if (text === undefined) sorted.assets.set(path, blob)
    else sorted.texts.set(path, text)
  }
  return sorted
}

/** What holds variables does not become a file. */
export function withoutEnvFiles(given: ReadonlyMap<string, Blob>): Map<string, Blob> {
  return new Map([...given].filter(([name]) => !isEnvFile(name)))
}

/** "2 files added to static/", "3 files added: 2 to static/, 1 to the top". */
export function whereTo(paths: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const path of paths) {
    const folder = path.slice(0, path.lastIndexOf('/') + 1) || 'the top folder'
    counts.set(folder, (counts.get(folder) ?? 0) + 1)
  }
  const [first] = counts.keys()
  if (counts.size === 1) return `${plural(paths.length, 'file')} added to ${first}`
  return `${plural(paths.length, 'file')} added: ${[...counts].map(([folder, count]) => `${count} to ${folder}`).join(', ')}`
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

/** Whether it is files that are dragged, not text. */
export const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false

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
  // Of editors, systems and version control: never part of an app. Where variables go is told.
  if ((entry.name.startsWith('.') && !isEnvFile(entry.name)) || entry.name === '__pycache__') return
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
