import type { IncomingMessage } from 'node:http'

/** How many bytes of a request's cookies are left after the others were deleted. */
const LEFT = 16 * 1024
/** Limit for Set-Cookie lines in one answer: browsers accept heads of 256 KB. The browser's next request deletes the rest. */
const MAX_LINES = 1_500
/** Limit for cookies that are examined. A browser keeps some hundred for a domain. */
const MAX_COOKIES = 4_000
/** Limit for segments of a path for which cookies are deleted. */
const MAX_SEGMENTS = 12

export interface ConsoleCookies {
  /** The domains for which pages, also an app's, can set cookies that the console gets. */
  readonly domains: readonly string[]
  /** The console's own cookie, which is not deleted. */
  readonly session: string
}

/**
 * A browser whose cookies for the console are larger than a head may be can no longer reach the console, as it sends them
 * each time. An app on a shared parent domain may set them for this purpose (a cookie bomb). So the refusal makes the browser
 * delete the largest ones until the rest fits. This returns the Set-Cookie lines for it; none if cookies are not the cause.
 */
export function defuse(
  { headers, url = '/' }: IncomingMessage,
  isApp: boolean,
  cookies: ConsoleCookies,
): string[] {
  const pairs = (headers.cookie ?? '').split('; ', MAX_COOKIES)
  let left = headers.cookie?.length ?? 0
  const names = new Set<string>()
  for (const pair of pairs.sort((a, b) => b.length - a.length)) {
    if (left <= LEFT) break
    left -= pair.length + 2
    names.add(pair.split('=', 1)[0]!)
  }
  // Cookies that an app set for its own host are not deleted.
  return expireCookies(names, pathsOf(url), cookies, !isApp)
}

/** Lines that delete all cookies with these names: name, domain and path together identify a cookie. */
export function expireCookies(
  names: Iterable<string>,
  paths: readonly string[],
  { domains, session }: ConsoleCookies,
  ofHost = true,
): string[] {
  const lines: string[] = []
  for (const name of names) {
    if (lines.length >= MAX_LINES) break
    const secure = /^__(?:secure|host)-/i.test(name) ? '; Secure' : ''
    const gone = `${name}=; Max-Age=0${secure}`
    if (ofHost && name !== session) lines.push(`${gone}; Path=/`)
    for (const domain of domains)
      for (const path of paths) lines.push(`${gone}; Path=${path}; Domain=${domain}`)
  }
  return lines.slice(0, MAX_LINES)
}

/** Every path for which a cookie is sent along with this request (RFC 6265, section 5.1.4). */
function pathsOf(url: string): string[] {
  const paths = ['/']
  let path = ''
  for (const segment of url.split('?', 1)[0]!.split('/').slice(1, MAX_SEGMENTS)) {
    path += `/${segment}`
    if (!/^[\w/.~%-]+$/.test(path)) break
    paths.push(path, `${path}/`)
  }
  return paths
}

/** The page for people. It reloads by itself. */
export const COOKIES_PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Too many cookies</title></head><body><p>Your browser sent more cookies than this server takes. It was told to delete those that are too many; this page loads again by itself.</p><p>If it comes back each time, delete the cookies of this site in the settings of your browser.</p></body></html>`
