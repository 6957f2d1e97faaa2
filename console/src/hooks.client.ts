import type { HandleClientError } from '@sveltejs/kit/hooks'
import { messageOf, requestIdOf } from '#lib/api/errors.ts'

/** The text of the error page, for anything that a page threw while it loaded. */
export const handleError: HandleClientError = (caught) => {
  if (caught.kind !== 'unknown') return
  const requestId = requestIdOf(caught.error)
  return { message: messageOf(caught.error), ...(requestId === undefined ? {} : { request_id: requestId }) }
}
