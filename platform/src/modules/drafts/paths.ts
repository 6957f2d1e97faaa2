import { FILE_LIMITS } from '@fp/sdk/wire'
import { FpError, type ErrorCode } from '../../errors.ts'

/** Control and invisible format characters (they also hide what a name is), and line separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** Not allowed in names on some system the files may be edited on. */
const UNPORTABLE = /[<>:"|?*]/
/** Python's own; a file there would shadow or be shadowed by compiled code. */
const RESERVED_NAMES = new Set(['__pycache__'])

/** Throws FP_FILE_PATH for a path that not every system could have. */
export function checkPath(path: string): void {
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

/** With its dot; empty where the name has none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot > 0 ? name.slice(dot) : ''
}

/** On file systems without case, or that normalise names, two such files would be one. */
function fold(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

/** Throws FP_FILE_PATH where two paths could not be there together. */
export function checkClashes(paths: readonly string[]): void {
  const files = new Map<string, string>()
  for (const path of paths) {
    const other = files.get(fold(path))
    if (other !== undefined) {
      if (other === path) throw clash(path, 'there is a file or an asset of this name already', other)
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

export function refuse(code: ErrorCode, message: string, details: Record<string, unknown>): FpError {
  return new FpError(code, message, { details })
}

/** JSON's escapes make control characters visible; lone surrogates are escaped too. */
export function show(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

export function kilobytes(bytes: number): string {
  return `${(Math.ceil((bytes / 1024) * 10) / 10).toString()} KB`
}
