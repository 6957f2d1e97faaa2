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
 * The path in the chosen folder. When the chosen folder is the top, a file replaces the file of the same name. Files that a
 * browser loads go to static/ if the app has that folder, since the app serves them from there. All others stay at the top.
 */
function pathOf(name: string, folder: string, paths: readonly string[]): string {
  if (folder) return `${folder}/${name}`
  const isServed = FOR_BROWSERS.test(mediaType(name)) && paths.some((path) => path.startsWith('static/'))
  return isServed && !name.includes('/') && !paths.includes(name) ? `static/${name}` : name
}

/**
 * Separates files that can be edited from those that are kept as bytes. `paths` are those of the app. `isAsset` tells whether
 * the app has an asset of this path: then the new file becomes an asset as well.
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

/** Files without those that hold environment variables. */
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
    // A byte order mark stays: the app gets the file as it was given.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await blob.arrayBuffer())
  } catch {
    return undefined
  }
}

/** Groups of files, each small enough for one request. A file that is too large is sent too: the answer then tells its limit. */
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

/** Whether files are dragged, and not text. */
export const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false

/** The files of a drop, those in folders included, by their names within what was dropped. */
export async function droppedFiles(data: DataTransfer): Promise<Map<string, Blob>> {
  // This comes before the first await: the browser empties the list afterwards.
  const dropped = [...data.items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const files = new Map<string, Blob>()
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, files)
    // A file that is in no folder of the system, such as a picture dragged from another page.
    else if (file) files.set(file.name, file)
  }
  return files
}

async function collect(entry: FileSystemEntry, into: Map<string, Blob>): Promise<void> {
  // Files of editors, systems and version control are never part of an app. For .env files, the person reads where variables go.
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
