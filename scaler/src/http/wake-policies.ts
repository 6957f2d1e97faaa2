import type { IncomingMessage } from 'node:http'
import { KNOWN_MONITORS } from './known-monitors.ts'
import type { WakeDecision, WakePolicy } from './wake.ts'

/** The usual paths of health checks. */
const HEALTH_PATHS = ['/healthz', '/health', '/livez', '/readyz']

/** Answers GET and HEAD of these paths with 200, so that health checks do not wake the target. */
export function answerHealthChecks(paths: readonly string[] = HEALTH_PATHS): WakePolicy {
  const answer: WakeDecision = {
    ...text(200, 'asleep\n'),
    headers: { ...PLAIN, 'cache-control': 'no-store' },
  }
  return (request) => (isRead(request) && paths.includes(pathOf(request)) ? answer : undefined)
}

/**
 * Answers every HEAD (link checkers, previews) with 200 and without a body. The headers of a GET are unknown while the target
 * is asleep.
 */
export function answerHead(): WakePolicy {
  return ({ method }) => (method === 'HEAD' ? { action: 'answer', statusCode: 200 } : undefined)
}

/** What the app allows pages of other origins to do (CORS). */
export interface PreflightOptions {
  /** The allowed origins: `*`, or a list. With a list, the response names the requesting origin. */
  readonly origin: '*' | readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  /** Seconds for which a browser may cache the response. */
  readonly maxAge?: number
}

/**
 * Answers CORS preflights with 204 and these options, which must match what the app itself allows. Preflights of other origins
 * and other OPTIONS requests are left to the next policy.
 */
export function answerPreflight({ origin, methods, headers, maxAge }: PreflightOptions): WakePolicy {
  const allowed = {
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': headers.join(', '),
    ...(maxAge === undefined ? {} : { 'access-control-max-age': String(maxAge) }),
  }
  return ({ method, headers: asked }) => {
    const preflight = method === 'OPTIONS' && asked.origin && asked['access-control-request-method']
    if (!preflight || (origin !== '*' && !origin.includes(asked.origin!))) return undefined
    const allow = origin === '*' ? origin : asked.origin!
    // A cache must not use the response for one origin for another origin.
    const vary = origin === '*' ? {} : { vary: 'origin' }
    const cors = { 'access-control-allow-origin': allow, ...allowed, ...vary }
    return { action: 'answer', statusCode: 204, headers: cors }
  }
}

/** Answers `/favicon.ico` with 204. Not cacheable, because the target may have an icon when it is awake. */
export function answerFavicon(): WakePolicy {
  const none: WakeDecision = { action: 'answer', statusCode: 204, headers: { 'cache-control': 'no-store' } }
  return (request) => (isRead(request) && pathOf(request) === '/favicon.ico' ? none : undefined)
}

/** Answers `/robots.txt` with 200 and this text. */
export function answerRobots(rules: string): WakePolicy {
  return (request) => (isRead(request) && pathOf(request) === '/robots.txt' ? text(200, rules) : undefined)
}

/** Which requests come from monitors, and how they are answered. */
export interface MonitorOptions {
  /** Parts of User-Agent headers, case-insensitive. Default: `KNOWN_MONITORS`. */
  readonly agents?: readonly string[]
  /** Default 200, because a target that is asleep is not down. */
  readonly statusCode?: number
}

/** Answers GET and HEAD of monitors, so that monitoring does not keep the target awake. */
export function answerMonitors(options: MonitorOptions = {}): WakePolicy {
  const { agents = KNOWN_MONITORS, statusCode = 200 } = options
  const known = agents.map((agent) => agent.toLowerCase())
  return (request) => {
    const agent = request.headers['user-agent']?.toLowerCase()
    if (agent === undefined || !isRead(request)) return undefined
    return known.some((part) => agent.includes(part)) ? text(statusCode, 'asleep\n') : undefined
  }
}

/**
 * Decides `page` for page loads of a browser: a GET that accepts HTML and, if it has the header Sec-Fetch-Mode, is a navigation
 * (not an image or a fetch by a page).
 */
export function showLoadingPage(): WakePolicy {
  return ({ method, headers }) => {
    const mode = headers['sec-fetch-mode'] ?? 'navigate'
    const navigates = method === 'GET' && mode === 'navigate' && (headers.accept ?? '').includes('text/html')
    return navigates ? { action: 'page' } : undefined
  }
}

/**
 * Sends GET and HEAD to another server while the target is woken: to an older version, to a copy elsewhere, or to a server of static
 * files. `url` is `http://host:port`, or `unix:/path/to.sock`.
 */
export function fallBackTo(url: string): WakePolicy {
  const { href } = new URL(url)
  return (request) => (isRead(request) ? { action: 'fallback', url: href } : undefined)
}

/**
 * Rejects every request with SCALER_ASLEEP. Use it as the last policy if only some requests may wake the target. `retryAfter` in
 * seconds.
 */
export function rejectAsleep(options: { readonly retryAfter?: number } = {}): WakePolicy {
  return () => ({ action: 'reject', ...options })
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8' }

function text(statusCode: number, body: string): WakeDecision & { action: 'answer' } {
  return { action: 'answer', statusCode, headers: PLAIN, body }
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD'
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0]!
}
