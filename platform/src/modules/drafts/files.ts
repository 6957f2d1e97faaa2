import { FILE_LIMITS } from '@fp/sdk/wire'
import { FpError, type ErrorCode } from '../../errors.ts'

/** As kept: an array, because a path may hold dots and `$`, which field names of MongoDB better do not. Sorted by path. */
export interface AppFile {
  readonly path: string
  readonly text: string
}

/** Control and invisible format characters (they also hide what a name is), and line separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** Not allowed in names on some system the files may be edited on. */
const UNPORTABLE = /[<>:"|?*]/
/** Python's own; a file there would shadow or be shadowed by compiled code. */
const RESERVED_NAMES = new Set(['__pycache__'])

/** Checks paths, sizes and counts against FILE_LIMITS. Throws the FpError that names the file and the number. */
export function checkFiles(files: Readonly<Record<string, string>>): AppFile[] {
  const paths = Object.keys(files)
  if (paths.length > FILE_LIMITS.maxFiles) {
    throw refuse(
      'FP_TOO_MANY_FILES',
      `The app has ${paths.length} files; at most ${FILE_LIMITS.maxFiles} are allowed. Remove some, or put data into the database.`,
      { count: paths.length, limit: FILE_LIMITS.maxFiles },
    )
  }
  let total = 0
  const checked: AppFile[] = []
  for (const [path, text] of Object.entries(files)) {
    checkPath(path)
    checkExtension(path)
    total += checkText(path, text)
    checked.push({ path, text })
  }
  checkTotal(total)
  checkClashes(paths)
  checkEntrypoint(paths)
  return checked.sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function toRecord(files: readonly AppFile[]): Record<string, string> {
  return Object.fromEntries(files.map((file) => [file.path, file.text]))
}

export function totalBytes(files: readonly AppFile[]): number {
  return files.reduce((sum, file) => sum + Buffer.byteLength(file.text), 0)
}

function checkPath(path: string): void {
  const why = pathFault(path)
  if (!why) return
  throw refuse('FP_FILE_PATH', `The file name ${show(path)} is not allowed: ${why}.`, {
    file: path.slice(0, 500),
  })
}

function pathFault(path: string): string | undefined {
  if (path === '') return 'it is empty'
  if (!path.isWellFormed()) return 'it holds half of a surrogate pair'
  const bytes = Buffer.byteLength(path)
  if (bytes > FILE_LIMITS.maxPathLength) {
    return `it is ${bytes} bytes long, and at most ${FILE_LIMITS.maxPathLength} are allowed`
  }
  if (INVISIBLE.test(path)) return 'it holds a control or invisible character'
  if (path.includes('\\')) return 'it holds a backslash; folders are separated by /'
  if (path.startsWith('/')) return 'it is absolute; paths are relative to the app'
  if (UNPORTABLE.test(path)) return 'it holds one of < > : " | ? *'
  for (const segment of path.split('/')) {
    if (segment === '') return 'it has an empty part between two / or at its end'
    if (segment === '..') return 'it has a part .., which would leave the app'
    if (segment.startsWith('.')) return `its part ${show(segment)} starts with a dot`
    if (segment !== segment.trim() || segment.endsWith('.')) {
      return `its part ${show(segment)} starts or ends with a space, or ends with a dot`
    }
    if (RESERVED_NAMES.has(segment.toLowerCase())) return `the name ${segment} is kept for Python itself`
  }
  return undefined
}

function checkExtension(path: string): void {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  const extension = dot > 0 ? name.slice(dot) : ''
  if ((FILE_LIMITS.extensions as readonly string[]).includes(extension)) return
  throw refuse(
    'FP_FILE_EXTENSION',
    `The file ${show(path)} ${extension ? `ends in ${show(extension)}` : 'has no extension'}; allowed are ${FILE_LIMITS.extensions.join(' ')}.`,
    { file: path, allowed: FILE_LIMITS.extensions },
  )
}

/** Returns the size in bytes. */
function checkText(path: string, text: unknown): number {
  // The route schema's pattern does not see names with a line break; `checkPath` refuses those first, this is the net below.
  if (typeof text !== 'string' || !text.isWellFormed()) {
    throw refuse('FP_INVALID_FIELDS', `The file ${show(path)} is not valid Unicode text.`, { file: path })
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > FILE_LIMITS.maxFileBytes) {
    throw refuse(
      'FP_FILE_TOO_LARGE',
      `The file ${show(path)} has ${kilobytes(bytes)}; at most ${kilobytes(FILE_LIMITS.maxFileBytes)} a file are allowed.`,
      { file: path, bytes, limit: FILE_LIMITS.maxFileBytes },
    )
  }
  return bytes
}

function checkTotal(total: number): void {
  if (total <= FILE_LIMITS.maxTotalBytes) return
  throw refuse(
    'FP_FILES_TOO_LARGE',
    `The files have ${kilobytes(total)} together; at most ${kilobytes(FILE_LIMITS.maxTotalBytes)} are allowed.`,
    { bytes: total, limit: FILE_LIMITS.maxTotalBytes },
  )
}

/** On file systems without case, or that normalise names, two such files would be one. */
function fold(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

function checkClashes(paths: readonly string[]): void {
  const files = new Map<string, string>()
  for (const path of paths) {
    const other = files.get(fold(path))
    if (other !== undefined) {
      throw clash(path, `it differs from ${show(other)} only in case or accents`, other)
    }
    files.set(fold(path), path)
  }
  /** Folded folder → how it is written. */
  const folders = new Map<string, string>()
  for (const path of paths) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      const folder = path.slice(0, end)
      const file = files.get(fold(folder))
      if (file !== undefined) throw clash(path, `${show(file)} is a file and cannot be a folder too`, file)
      const other = folders.get(fold(folder))
      if (other !== undefined && other !== folder) {
        throw clash(path, `its folder differs from ${show(other)} only in case or accents`, other)
      }
      folders.set(fold(folder), folder)
    }
  }
}

function clash(path: string, why: string, other: string): FpError {
  return refuse('FP_FILE_PATH', `The file name ${show(path)} is not allowed: ${why}.`, { file: path, other })
}

function checkEntrypoint(paths: readonly string[]): void {
  if (paths.includes(FILE_LIMITS.entrypoint)) return
  throw refuse(
    'FP_ENTRYPOINT_MISSING',
    `The app has no ${FILE_LIMITS.entrypoint}. It is the file that is started: it must exist, under this name and in no folder.`,
    { file: FILE_LIMITS.entrypoint },
  )
}

function refuse(code: ErrorCode, message: string, details: Record<string, unknown>): FpError {
  return new FpError(code, message, { details })
}

/** JSON's escapes make control characters visible; lone surrogates are escaped too. */
function show(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function kilobytes(bytes: number): string {
  return `${(Math.ceil((bytes / 1024) * 10) / 10).toString()} KB`
}
