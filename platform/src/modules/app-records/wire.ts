import type { AppFailure } from '@fp/sdk/wire'
import type { Failure } from './types.ts'

export function failureToWire(failure: Failure): AppFailure {
  const { code, message, traceback, file, line, at } = failure
  return { code, message, traceback, file, line, at: at.toISOString() }
}
