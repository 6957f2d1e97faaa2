import { ApiError } from '@fp/sdk/client'
import type { Finding } from '@fp/sdk/wire'

/** The text to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message
  return error instanceof Error
    ? error.message
    : 'Something went wrong in the console. Reload the page and try again.'
}

export function requestIdOf(error: unknown): string | undefined {
  return error instanceof ApiError ? error.request_id : undefined
}

/** The findings of a refused deploy. Undefined for any other error. */
export function findingsOf(error: unknown): Finding[] | undefined {
  if (!(error instanceof ApiError) || error.code !== 'FP_VALIDATION_FAILED') return undefined
  return Array.isArray(error.details) ? (error.details as Finding[]) : []
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}
