import { ASSET_LIMITS, FILE_LIMITS } from './limits.ts'

/** Control characters, line separators, and invisible characters, which hide what a name is. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** Some systems on which files are edited do not allow these in names. */
const UNPORTABLE = /[<>:"|?*]/
/** Python keeps compiled code here. A file here could replace it or be replaced by it. */
const RESERVED_NAMES = new Set(['__pycache__'])

/** Why no file of an app can have this path, to follow "the name is not allowed:". Undefined when the path is allowed. */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'it is empty'
  if (!path.isWellFormed()) return 'it holds half of a surrogate pair'
  const bytes = new TextEncoder().encode(path).length
  if (bytes > FILE_LIMITS.maxPathLength) {
    return `it is ${bytes} bytes long, and at most ${FILE_LIMITS.maxPathLength} are allowed`
  }
  if (INVISIBLE.test(path)) return 'it holds a control or invisible character'
  if (path.includes('\\')) return 'it holds a backslash; folders are separated by /'
  if (path.startsWith('/')) return 'it begins with /; paths are relative to the app'
  if (UNPORTABLE.test(path)) return 'it holds one of < > : " | ? *'
  if (path.endsWith('/'))
    return 'it ends in /; a folder is made with its first file, such as templates/index.html'
  return path.split('/').map(segmentFault).find(Boolean)
}

function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'it has an empty part between two /'
  if (segment === '..') return 'it has a part .., which would leave the app'
  if (segment.startsWith('.')) return `its part ${showPath(segment)} starts with a dot`
  if (segment !== segment.trim() || segment.endsWith('.')) {
    return `its part ${showPath(segment)} starts or ends with a space, or ends with a dot`
  }
  if (RESERVED_NAMES.has(segment.toLowerCase())) return `the name ${segment} is kept for Python itself`
  return undefined
}

/** Why a file that is edited as text cannot have this extension, to follow the file's name. */
export function extensionFault(path: string): string | undefined {
  const extension = extensionOf(path)
  if ((FILE_LIMITS.extensions as readonly string[]).includes(extension)) return undefined
  return `${extension ? `ends in ${showPath(extension)}` : 'has no extension'}; allowed are ${FILE_LIMITS.extensions.join(' ')}`
}

/** Why an asset cannot have this extension, as a sentence. */
export function assetExtensionFault(path: string): string | undefined {
  const extension = extensionOf(path).toLowerCase()
  if (!(ASSET_LIMITS.refusedExtensions as readonly string[]).includes(extension)) return undefined
  return extension === '.py'
    ? 'Python files are code: save them with the draft’s files.'
    : 'compiled code and what Python loads by itself are not allowed.'
}

/** The extension with its dot. Empty when the name has none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot > 0 ? name.slice(dot) : ''
}

export interface PathClash {
  readonly path: string
  readonly other: string
  /** To follow "the name is not allowed:". */
  readonly fault: string
}

/** The first two paths that cannot exist together. */
export function findClash(paths: readonly string[]): PathClash | undefined {
  const files = new Map<string, string>()
  for (const path of paths) {
    const other = files.get(fold(path))
    if (other !== undefined) {
      const fault =
        other === path
          ? 'there is a file or an asset of this name already'
          : `it differs from ${showPath(other)} only in case or accents`
      return { path, other, fault }
    }
    files.set(fold(path), path)
  }
  /** Folded folder → the folder as it is written. */
  const folders = new Map<string, string>()
  for (const path of paths) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      const folder = path.slice(0, end)
      const file = files.get(fold(folder))
      if (file !== undefined)
        return { path, other: file, fault: `${showPath(file)} is a file and cannot be a folder too` }
      const other = folders.get(fold(folder))
      if (other !== undefined && other !== folder)
        return { path, other, fault: `its folder differs from ${showPath(other)} only in case or accents` }
      folders.set(fold(folder), folder)
    }
  }
  return undefined
}

/** File systems that ignore case, or that normalise names, cannot tell two such files apart. */
function fold(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

/** The path as JSON text, which escapes control characters and lone surrogates. */
export function showPath(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
