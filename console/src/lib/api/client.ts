import { createClient } from '@fp/sdk/client'
import { sessionId } from './session-id.ts'

const unauthorizedListeners = new Set<() => void>()

/** Called when the API says that the session is over. Returns how to stop listening. */
export function onUnauthorized(listener: () => void): () => void {
  unauthorizedListeners.add(listener)
  return () => unauthorizedListeners.delete(listener)
}

/** The API of this origin; the session is an HttpOnly cookie that JavaScript never sees. */
export const client = createClient({
  sessionId,
  onError(error) {
    if (error.status === 401) for (const listener of unauthorizedListeners) listener()
  },
})
