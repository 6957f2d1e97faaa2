import type { IncomingMessage } from 'node:http'

/** RFC 9112 §3.2.2: a request target may contain a scheme and a host. */
const ABSOLUTE = /^(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<host>[^/?#]*)/i

/** The scheme and host in the request target, or undefined if it has none. */
export function absoluteTarget(request: IncomingMessage): { scheme: string; host: string } | undefined {
  const { url = '/' } = request
  if (url.startsWith('/')) return undefined
  const groups = ABSOLUTE.exec(url)?.groups
  return groups && { scheme: groups['scheme']!.toLowerCase(), host: groups['host']! }
}

/** The host of a request: the one in the request target, which has priority (RFC 9112 §3.2.2), or the Host header. */
export function hostOf(request: IncomingMessage): string | undefined {
  return absoluteTarget(request)?.host ?? request.headers.host
}

/**
 * Replaces an absolute request target by its path, and the Host header by its host, so that all later code sees the same host.
 * Must be called only after the request was validated.
 */
export function useTargetHost(request: IncomingMessage): void {
  const target = absoluteTarget(request)
  if (!target) return
  const { headers, rawHeaders } = request
  request.url = requestPath(request)
  headers.host = target.host
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (at < 0) rawHeaders.push('Host', target.host)
  else rawHeaders[at + 1] = target.host
}

/** Fastify sets `originalUrl` if `rewriteUrl` is set. */
type Rewritten = IncomingMessage & { readonly originalUrl?: string }

/** The path and query exactly as the client sent them: an app must see `//` and `%2e` unchanged. */
export function requestPath(request: IncomingMessage): string {
  const target = (request as Rewritten).originalUrl ?? request.url ?? '/'
  if (target.startsWith('/')) return target
  const path = target.replace(ABSOLUTE, '')
  return path.startsWith('/') ? path : `/${path}`
}

/**
 * Pass this to `Fastify()` as `rewriteUrl` if apps must get paths that cannot be decoded (`/%zz`): otherwise Fastify's router
 * answers 400. Only the router sees the returned URL.
 */
export function routableUrl({ url = '/' }: IncomingMessage): string {
  if (!url.includes('%')) return url
  const parts = url.split('?', 1)[0]!.split('/')
  const at = parts.findIndex((part) => decoded(part) === undefined)
  // What is before the first part that cannot be decoded chooses the route: a prefix, for example.
  return at < 0 ? url : `${parts.slice(0, at).join('/')}/`
}

/** Undefined if the part cannot be decoded. Bundlers remove a decodeURIComponent whose result nobody uses, in spite of its error. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
