import cookie from '@fastify/cookie'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { sessionOfCookies } from './cookie-session.ts'
import { isUnsafe, provenanceOf } from './origin.ts'
import type { SessionCookie } from './session-cookie.ts'

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
    /** Answers without a session. Every other route below /api needs one. */
    public?: boolean
  }
  interface FastifyRequest {
    /** Who makes the request. Reading it where there is no session answers 401. */
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
    // For writing alone: the cookies of a request are read where they are needed, every value of them.
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
        // A stranger's page must not log a browser in under the stranger's account either.
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
      // Apps live on subdomains, which SameSite counts as the same site: only the origin tells them apart.
      if (unsafe && provenance !== 'own') throw csrf()
      if (found.session.extended) options.cookie.write(reply, found.token)
      request.foundSession = found.session
    })
  },
  { name: 'auth' },
)

/** Undefined without the header; empty where it holds no bearer token. */
export function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  // Another scheme is no reason to fall back on the cookie: who sends a credential means that one.
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? ''
}

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
