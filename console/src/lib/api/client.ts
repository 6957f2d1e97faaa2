import { createClient } from '@fp/sdk/client'
import { sessionId } from './session-id.ts'

/** A browser keeps at most some hundred cookies for a domain, and an answer deletes dozens. */
const MAX_ROUNDS = 8

const unauthorizedListeners = new Set<() => void>()

/** Called when the API says that the session is over. Returns how to stop listening. */
export function onUnauthorized(listener: () => void): () => void {
  unauthorizedListeners.add(listener)
  return () => unauthorizedListeners.delete(listener)
}

/** The API of this origin; the session is an HttpOnly cookie that JavaScript never sees. */
export const client = createClient({
  fetch: withoutTooManyCookies,
  sessionId,
  onError(error) {
    if (error.status === 401) for (const listener of unauthorizedListeners) listener()
  },
})

/** Each of these answers makes the browser delete cookies that were too many, which an app may have set; nothing was done. */
async function withoutTooManyCookies(...request: Parameters<typeof fetch>): Promise<Response> {
  for (let round = 1; ; round++) {
    const response = await fetch(...request)
    if (response.status !== 431 || round === MAX_ROUNDS) return response
  }
}
