import { findClash, pathFault, showPath } from '@fp/sdk/wire'
import { FpError, type ErrorCode } from '../../errors.ts'

/** Throws FP_FILE_PATH for a path that is not allowed. */
export function checkPath(path: string): void {
  const fault = pathFault(path)
  if (fault) throw badPath(path, fault, { file: path.slice(0, 500) })
}

/** Throws FP_FILE_PATH if two of the paths cannot exist together. */
export function checkClashes(paths: readonly string[]): void {
  const clash = findClash(paths)
  if (clash) throw badPath(clash.path, clash.fault, { file: clash.path, other: clash.other })
}

function badPath(path: string, fault: string, details: Record<string, unknown>): FpError {
  return refuse('FP_FILE_PATH', `The file name ${showPath(path)} is not allowed: ${fault}.`, details)
}

export function refuse(code: ErrorCode, message: string, details: Record<string, unknown>): FpError {
  return new FpError(code, message, { details })
}

export function kilobytes(bytes: number): string {
  return `${(Math.ceil((bytes / 1024) * 10) / 10).toString()} KB`
}
