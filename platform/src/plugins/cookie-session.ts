import type { FastifyRequest } from 'fastify'
import type { SessionCookie } from './session-cookie.ts'

/** If there are more candidates than this, none is looked up. */
const MAX_LOOKUPS = 20

export interface CookieSessions<S> {
  readonly cookie: SessionCookie
  readonly authenticate: (token: string) => Promise<S | undefined>
  readonly sessionIdOf: (token: string) => string
}

/**
 * Finds the session of a request's cookies. Without TLS an app on a shared parent domain can add its own session cookies
 * (cookie tossing), and nothing in the Cookie header distinguishes these from the console's. But an app cannot write into the
 * storage of the console's origin, where the console keeps the id of its session. The header `X-Fp-Session` contains this id,
 * and only that session is used. Without the header, cookies of two sessions count as none, as it is not known which one is
 * meant.
 */
export async function sessionOfCookies<S>(
  request: FastifyRequest,
  { cookie, authenticate, sessionIdOf }: CookieSessions<S>,
): Promise<{ session: S; token: string } | undefined> {
  const tokens = cookie.read(request)
  const named = request.headers['x-fp-session']
  const candidates = named === undefined ? tokens : tokens.filter((token) => sessionIdOf(token) === named)
  if (candidates.length > MAX_LOOKUPS) return undefined
  const found: { session: S; token: string }[] = []
  for (const token of candidates) {
    const session = await authenticate(token)
    if (session) found.push({ session, token })
  }
  return found.length === 1 ? found[0] : undefined
}
