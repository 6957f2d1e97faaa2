import { ApiError } from '@fp/sdk/client'
import type { Finding } from '@fp/sdk/wire'

/** What to show a person of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message
  return error instanceof Error
    ? error.message
    : 'Something went wrong in the console. Reload the page and try again.'
}

export function requestIdOf(error: unknown): string | undefined {
  return error instanceof ApiError ? error.request_id : undefined
}

/** The findings of a refused deploy; undefined when the error is another one. */
export function findingsOf(error: unknown): Finding[] | undefined {
  if (!(error instanceof ApiError) || error.code !== 'FP_VALIDATION_FAILED') return undefined
  return Array.isArray(error.details) ? (error.details as Finding[]) : []
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}
