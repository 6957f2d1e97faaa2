import type { IncomingMessage } from 'node:http'

/** What is left of a request's cookies after the others were deleted, bytes. */
const LEFT = 16 * 1024
/** Set-Cookie lines of one answer: browsers take heads of 256 KB. The browser comes again for the rest. */
const MAX_LINES = 1_500
/** Cookies that are looked at; a browser keeps some hundred for a domain. */
const MAX_COOKIES = 4_000
/** Segments of a path for which cookies are looked for. */
const MAX_SEGMENTS = 12

export interface ConsoleCookies {
  /** Those for which pages, an app's too, can set cookies that the console gets. */
  readonly domains: readonly string[]
  /** The console's own cookie, which stays. */
  readonly session: string
}

/**
 * A browser that has more cookies for the console than a head may have could not reach it any more, for it sends them each
 * time; an app on a shared parent domain may set them for that (a cookie bomb). So the refusal makes the browser delete
 * the largest ones, until the rest fits: these are the Set-Cookie lines for it. None where cookies are not to blame.
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
  // An app's own cookies are its own business.
  return expireCookies(names, pathsOf(url), cookies, !isApp)
}

/** In all forms in which cookies of these names may be there: a cookie is told by its name, domain and path. */
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

/** For the person who wanted to see the console, and then sees it. */
export const COOKIES_PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Too many cookies</title></head><body><p>Your browser sent more cookies than this server takes. It was told to delete those that are too many; this page loads again by itself.</p><p>If it comes back each time, delete the cookies of this site in the settings of your browser.</p></body></html>`
