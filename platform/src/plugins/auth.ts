import cookie from '@fastify/cookie'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { sessionOfCookies } from './cookie-session.ts'
import { isUnsafe, provenanceOf } from './origin.ts'
import type { SessionCookie } from './session-cookie.ts'
import { bearerToken } from './session-token.ts'

export interface RequestUser {
  readonly userId: string
  readonly username: string
  readonly role: 'admin' | 'user'
}

export interface RequestSession {
  readonly sessionId: string
  readonly user: RequestUser
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route needs no session. Every other route below /api needs one. */
    public?: boolean
  }
  interface FastifyRequest {
    /** The user of the request's session. Reading it without a session throws FP_UNAUTHENTICATED. */
    readonly user: RequestUser
    readonly session: RequestSession
    foundSession: RequestSession | null
  }
}

export interface AuthOptions {
  readonly authenticate: (
    token: string,
  ) => Promise<(RequestSession & { readonly extended: boolean }) | undefined>
  readonly sessionIdOf: (token: string) => string
  readonly cookie: SessionCookie
  readonly publicUrl: string
}

/** Bearer tokens for programs, a cookie for the console. Runs before the body is read. */
export const authPlugin = fp(
  async (app: FastifyInstance, options: AuthOptions) => {
    // Only for writing cookies. The cookies of a request are read elsewhere, with all values of one name.
    await app.register(cookie, { hook: false })
    app.decorateRequest('foundSession', null)
    app.decorateRequest('session', {
      getter(this: { foundSession: RequestSession | null }) {
        if (!this.foundSession) throw unauthenticated()
        return this.foundSession
      },
    })
    app.decorateRequest('user', {
      getter(this: { session: RequestSession }) {
        return this.session.user
      },
    })

    app.addHook('onRequest', async (request, reply) => {
      const { url: route, config } = request.routeOptions
      if (route === undefined || !route.startsWith('/api/')) return
      const unsafe = isUnsafe(request.method)
      const provenance = provenanceOf(request, options.publicUrl)
      if (config.public) {
        // A foreign page must not log a browser in to an account of its own choice either.
        if (unsafe && provenance === 'foreign') throw csrf()
        return
      }
      const bearer = bearerToken(request.headers.authorization)
      if (bearer !== undefined) {
        request.foundSession = (await options.authenticate(bearer)) ?? null
        if (!request.foundSession) throw unauthenticated(true)
        return
      }
      const found = await sessionOfCookies(request, options)
      if (!found) throw unauthenticated(options.cookie.read(request).length > 0)
      // Apps are on subdomains, which SameSite regards as the same site. Only the origin distinguishes them.
      if (unsafe && provenance !== 'own') throw csrf()
      if (found.session.extended) options.cookie.write(reply, found.token)
      request.foundSession = found.session
    })
  },
  { name: 'auth' },
)

function unauthenticated(given = false): FpError {
  const message = given
    ? 'The session has ended or the token is wrong. Log in again.'
    : 'Log in first: send `Authorization: Bearer <access_token>`, or the session cookie.'
  return new FpError('FP_UNAUTHENTICATED', message, { headers: { 'www-authenticate': 'Bearer realm="fp"' } })
}

function csrf(): FpError {
  return new FpError(
    'FP_CSRF',
    'This request was made by a page of another origin, so the session cookie does not count. Use the console at its ' +
      'PUBLIC_URL, or send the token as `Authorization: Bearer …`.',
  )
}
