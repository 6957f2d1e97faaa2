import type { FastifyRequest } from 'fastify'
import type { SessionCookie } from './session-cookie.ts'

/** Of more session cookies than this, none that the request does not name is looked up. */
const MAX_LOOKUPS = 20

export interface CookieSessions<S> {
  readonly cookie: SessionCookie
  readonly authenticate: (token: string) => Promise<S | undefined>
  readonly sessionIdOf: (token: string) => string
}

/**
 * The session of a request's cookies. Without TLS an app on a shared parent domain can add session cookies of its own making
 * (cookie tossing), and nothing in the Cookie header tells them from the console's. What an app cannot do is write into the
 * storage of the console's origin, where the console keeps the id of its session: the header `X-Fp-Session` carries that id,
 * and then that session alone counts. Without the header, cookies of two sessions are as good as none: which of the two
 * is meant cannot be known.
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
