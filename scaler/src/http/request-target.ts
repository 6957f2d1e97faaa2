import type { IncomingMessage } from 'node:http'

/** RFC 9112 §3.2.2: a target may come with a scheme and a host. */
const ABSOLUTE = /^(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<host>[^/?#]*)/i

/** Scheme and host of a request's target, where it has them. */
export function absoluteTarget(request: IncomingMessage): { scheme: string; host: string } | undefined {
  const { url = '/' } = request
  if (url.startsWith('/')) return undefined
  const groups = ABSOLUTE.exec(url)?.groups
  return groups && { scheme: groups['scheme']!.toLowerCase(), host: groups['host']! }
}

/** The host that a request is for: the target's own, which counts before the Host header (RFC 9112 §3.2.2). */
export function hostOf(request: IncomingMessage): string | undefined {
  return absoluteTarget(request)?.host ?? request.headers.host
}

/**
 * Gives a request with an absolute target the Host of that target and a path for a target, so that whoever looks at the
 * request from then on sees one host. To be called once the request is known to be valid.
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

/** Kept by Fastify where `rewriteUrl` is set. */
type Rewritten = IncomingMessage & { readonly originalUrl?: string }

/** Path and query as the client wrote them: an app must see `//` and `%2e` as they are. */
export function requestPath(request: IncomingMessage): string {
  const target = (request as Rewritten).originalUrl ?? request.url ?? '/'
  if (target.startsWith('/')) return target
  const path = target.replace(ABSOLUTE, '')
  return path.startsWith('/') ? path : `/${path}`
}

/**
 * To be given to `Fastify()` as `rewriteUrl` where apps shall see paths that cannot be decoded (`/%zz`): Fastify's router
 * answers 400 to them. Only the router sees what this returns.
 */
export function routableUrl({ url = '/' }: IncomingMessage): string {
  if (!url.includes('%')) return url
  try {
    decodeURIComponent(url.split('?', 1)[0]!)
    return url
  } catch {
    return '/'
  }
}
