import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** What the browser says of who made a request: the console itself, a foreign page, or nothing (a program, an old browser). */
export type Provenance = 'own' | 'foreign' | 'unknown'

/**
 * Reads the Origin header, else Sec-Fetch-Site (OWASP, Cross-Site Request Forgery Prevention, "Verifying Origin").
 * Own is PUBLIC_URL, and the Host asked for where that is an IP address or localhost. Other names that lead here are not
 * own: a page of such a name may be a stranger's who points its DNS entry at this machine (DNS rebinding).
 */
export function provenanceOf(request: FastifyRequest, publicUrl: string): Provenance {
  const { origin } = request.headers
  if (origin !== undefined) return origin === publicUrl || isLocalOrigin(origin, request) ? 'own' : 'foreign'
  const site = request.headers['sec-fetch-site']
  if (site === undefined) return 'unknown'
  return site === 'same-origin' || site === 'none' ? 'own' : 'foreign'
}

/** Scheme, name and port, as RFC 6454 has it: a page without TLS is another's than one with it. */
function isLocalOrigin(origin: string, { protocol, host }: FastifyRequest): boolean {
  if (origin !== `${protocol}://${host}` || !URL.canParse(origin)) return false
  const name = new URL(origin).hostname.replace(/^\[|\]$/g, '')
  return name === 'localhost' || isIP(name) !== 0
}

export function isUnsafe(method: string): boolean {
  return !SAFE_METHODS.has(method)
}
