import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Who made a request, according to the browser: the console, a foreign page, or unknown (a program, an old browser). */
export type Provenance = 'own' | 'foreign' | 'unknown'

/**
 * Reads the Origin header, or Sec-Fetch-Site if there is none (OWASP, Cross-Site Request Forgery Prevention, "Verifying
 * Origin"). `own` are PUBLIC_URL, and the requested Host if it is an IP address or localhost. Other names that resolve to this
 * machine are not `own`: a foreign page may have such a name (DNS rebinding).
 */
export function provenanceOf(request: FastifyRequest, publicUrl: string): Provenance {
  const { origin } = request.headers
  if (origin !== undefined) return origin === publicUrl || isLocalOrigin(origin, request) ? 'own' : 'foreign'
  const site = request.headers['sec-fetch-site']
  if (site === undefined) return 'unknown'
  return site === 'same-origin' || site === 'none' ? 'own' : 'foreign'
}

/** Compares scheme, name and port (RFC 6454): pages with and without TLS have different origins. */
function isLocalOrigin(origin: string, { protocol, host }: FastifyRequest): boolean {
  if (origin !== `${protocol}://${host}` || !URL.canParse(origin)) return false
  const name = new URL(origin).hostname.replace(/^\[|\]$/g, '')
  return name === 'localhost' || isIP(name) !== 0
}

export function isUnsafe(method: string): boolean {
  return !SAFE_METHODS.has(method)
}
