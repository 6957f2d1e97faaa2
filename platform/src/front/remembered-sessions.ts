import type { IncomingHttpHeaders } from 'node:http'
import { bearerToken, cookieValues, isSessionToken, sessionIdOf } from '../plugins/session-token.ts'

/** How many sessions are remembered: in all, and of one user, who could otherwise make room only for their own. */
const MAX_SESSIONS = 10_000
const OF_ONE_USER = 20
/** With more cookies of the session's name, none is looked up. */
const MAX_COOKIES = 20

/** Which user a session belongs to. Used to count requests, never to authenticate anybody. */
export class RememberedSessions {
  readonly #cookie: string | undefined
  /** User by session id. The least recently used session is first, here and in the sets. */
  readonly #users = new Map<string, string>()
  readonly #sessions = new Map<string, Set<string>>()

  /** `cookie`: name of the session's cookie. */
  constructor(cookie: string | undefined) {
    this.#cookie = cookie
  }

  remember(sessionId: string, userId: string): void {
    this.#forget(sessionId)
    this.#users.set(sessionId, userId)
    const own = this.#sessions.get(userId) ?? new Set()
    this.#sessions.set(userId, own.add(sessionId))
    if (own.size > OF_ONE_USER) this.#forget(first(own))
    if (this.#users.size > MAX_SESSIONS) this.#forget(first(this.#users.keys()))
  }

  /** The user of the request's session if it is remembered. */
  userOf(headers: IncomingHttpHeaders): string | undefined {
    const known = this.#idsOf(headers).filter((id) => this.#users.has(id))
    // The API takes none of two sessions either.
    if (known.length !== 1) return undefined
    const userId = this.#users.get(known[0]!)!
    this.remember(known[0]!, userId)
    return userId
  }

  /** As in plugins/cookie-session.ts: the header names one of several cookies. */
  #idsOf(headers: IncomingHttpHeaders): string[] {
    if (this.#users.size === 0) return []
    const bearer = bearerToken(headers.authorization)
    if (bearer !== undefined) return isSessionToken(bearer) ? [sessionIdOf(bearer)] : []
    if (this.#cookie === undefined || headers.cookie === undefined) return []
    const tokens = cookieValues(headers.cookie, this.#cookie).filter(isSessionToken)
    if (tokens.length > MAX_COOKIES) return []
    const ids = tokens.map(sessionIdOf)
    const named = headers['x-fp-session']
    return named === undefined ? ids : ids.filter((id) => id === named)
  }

  #forget(sessionId: string): void {
    const userId = this.#users.get(sessionId)
    if (userId === undefined) return
    this.#users.delete(sessionId)
    const own = this.#sessions.get(userId)!
    own.delete(sessionId)
    if (own.size === 0) this.#sessions.delete(userId)
  }
}

function first(of: Iterable<string>): string {
  const [it] = of
  return it!
}
