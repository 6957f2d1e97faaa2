import { extensionFault, FILE_LIMITS, showPath } from '@fp/sdk/wire'
import { checkClashes, checkPath, kilobytes, refuse } from './paths.ts'

/** One file as it is stored. The files are an array because paths may contain dots and `$`, which field names should not. */
export interface AppFile {
  readonly path: string
  readonly text: string
}

/**
 * Checks paths, sizes and counts against FILE_LIMITS. Throws an FpError that names the file and the number. `assets` are the
 * paths of the app's assets, with which no file may clash. Returns the files sorted by path.
 */
export function checkFiles(
  files: Readonly<Record<string, string>>,
  assets: readonly string[] = [],
): AppFile[] {
  const paths = Object.keys(files)
  if (paths.length > FILE_LIMITS.maxFiles) {
    throw refuse(
      'FP_TOO_MANY_FILES',
      `The app has ${paths.length} files; at most ${FILE_LIMITS.maxFiles} are allowed. Remove some, upload those that are not code as assets, or put data into the database.`,
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
  checkClashes([...assets, ...paths])
  checkEntrypoint(paths)
  return checked.sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function toRecord(files: readonly AppFile[]): Record<string, string> {
  return Object.fromEntries(files.map((file) => [file.path, file.text]))
}

export function totalBytes(files: readonly AppFile[]): number {
  return files.reduce((sum, file) => sum + Buffer.byteLength(file.text), 0)
}

function checkExtension(path: string): void {
  const fault = extensionFault(path)
  if (!fault) return
  throw refuse('FP_FILE_EXTENSION', `The file ${showPath(path)} ${fault}. Upload other files as assets.`, {
    file: path,
    allowed: FILE_LIMITS.extensions,
  })
}

/** Returns the size in bytes. */
function checkText(path: string, text: unknown): number {
  // The route schema's pattern does not match names with a line break. `checkPath` refuses these before; this is a safeguard.
  if (typeof text !== 'string' || !text.isWellFormed()) {
    throw refuse('FP_INVALID_FIELDS', `The file ${showPath(path)} is not valid Unicode text.`, { file: path })
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > FILE_LIMITS.maxFileBytes) {
    throw refuse(
      'FP_FILE_TOO_LARGE',
      `The file ${showPath(path)} has ${kilobytes(bytes)}; at most ${kilobytes(FILE_LIMITS.maxFileBytes)} a file are allowed. Upload larger files, other than Python, as assets.`,
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

function checkEntrypoint(paths: readonly string[]): void {
  if (paths.some((path) => path.endsWith('.py'))) return
  throw refuse(
    'FP_ENTRYPOINT_MISSING',
    'The app has no Python file, so there is nothing to start. Add main.py with `app = FastAPI()` in it.',
    { file: 'main.py' },
  )
}
