const KEY = 'fp:session'
/** Names no session, so that no cookie counts. */
const NONE = 'none'

/**
 * The id of the session that was opened on this origin. The session itself is a cookie, and without TLS an app on a shared
 * parent domain can set cookies for the console too; into this storage it cannot write. So the API takes only the cookie
 * of this session. Undefined where the browser gives no storage.
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
    // Then the cookie alone counts.
  }
}

export function dropSessionId(): void {
  try {
    localStorage.removeItem(KEY)
  } catch {
    // As above.
  }
}
