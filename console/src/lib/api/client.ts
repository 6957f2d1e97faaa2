import { createClient } from '@fp/sdk/client'
import { sessionId } from './session-id.ts'

/** A browser keeps about a hundred cookies of a domain, and each answer deletes dozens. */
const MAX_ROUNDS = 8

const unauthorizedListeners = new Set<() => void>()

/** Called when the API says that the session is over. Returns how to stop listening. */
export function onUnauthorized(listener: () => void): () => void {
  unauthorizedListeners.add(listener)
  return () => unauthorizedListeners.delete(listener)
}

/** The API of this origin. The session is an HttpOnly cookie, which JavaScript cannot read. */
export const client = createClient({
  fetch: withoutTooManyCookies,
  sessionId,
  onError(error) {
    if (error.status === 401) for (const listener of unauthorizedListeners) listener()
  },
})

/** An app may have set too many cookies. Then each answer makes the browser delete some, and the request is sent again: it had no effect. */
async function withoutTooManyCookies(...request: Parameters<typeof fetch>): Promise<Response> {
  for (let round = 1; ; round++) {
    const response = await fetch(...request)
    if (response.status !== 431 || round === MAX_ROUNDS) return response
  }
}
