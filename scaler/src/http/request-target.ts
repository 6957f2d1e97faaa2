import type { IncomingMessage } from 'node:http'

/** RFC 9112 §3.2.2: a target may come with a scheme and a host. */
const ABSOLUTE = /^[a-z][a-z\d+.-]*:\/\/[^/?]*/i

/** Path and query as the client wrote them: an app must see `//` and `%2e` as they are. */
export function targetOf(request: IncomingMessage): string {
  const target = request.url ?? '/'
  if (target.startsWith('/')) return target
  const path = target.replace(ABSOLUTE, '')
  return path.startsWith('/') ? path : `/${path}`
}
