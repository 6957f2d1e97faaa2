const KEY = 'fp:session'
/** The id of no session: no cookie is accepted with it. */
const NONE = 'none'

/**
 * The id of the session that was opened on this origin. The session itself is a cookie. Without TLS, an app on a shared parent
 * domain can set cookies for the console too, but it cannot write into this storage. So the API accepts only the cookie of
 * the session with this id. Undefined when the browser gives no storage.
 */
export function sessionId(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? NONE
  } catch {
    return undefined
  }
}

export function keepSessionId(id: string): void {
  try {
    localStorage.setItem(KEY, id)
  } catch {
    // Without storage, the API accepts any session cookie.
  }
}

export function dropSessionId(): void {
  try {
    localStorage.removeItem(KEY)
  } catch {
    // Without storage there is no id to remove.
  }
}
