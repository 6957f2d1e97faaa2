import type { FastifyReply, FastifyRequest } from 'fastify'
import { cookieValues } from './session-token.ts'

/** The cookie with the token of the console's session. Writing it needs @fastify/cookie. */
export interface SessionCookie {
  readonly name: string
  /** Every value of this name that the browser sent: an app on a shared parent domain may have added some. */
  read(request: FastifyRequest): string[]
  write(reply: FastifyReply, token: string): void
  clear(reply: FastifyReply): void
}

/**
 * The cookie has no Domain attribute, so apps on subdomains never get it. With TLS the `__Host-` prefix makes browsers refuse
 * a cookie of this name that an app's host tries to set for the whole domain (RFC 6265bis, section 4.1.3.2).
 */
export function createSessionCookie(options: { secure: boolean; lifetime: number }): SessionCookie {
  const { secure } = options
  const name = sessionCookieName(secure)
  const attributes = { path: '/', httpOnly: true, sameSite: 'lax', secure } as const
  return {
    name,
    read: ({ headers }) => cookieValues(headers.cookie ?? '', name),
    write: (reply, token) =>
      void reply.setCookie(name, token, { ...attributes, maxAge: options.lifetime / 1000 }),
    clear: (reply) => void reply.clearCookie(name, attributes),
  }
}

export function sessionCookieName(secure: boolean): string {
  return secure ? '__Host-fp_session' : 'fp_session'
}
