import type { IncomingMessage } from 'node:http'
import { KNOWN_MONITORS } from './known-monitors.ts'
import type { WakeDecision, WakePolicy } from './wake.ts'

/** The usual names of health checks. */
const HEALTH_PATHS = ['/healthz', '/health', '/livez', '/readyz']

/** 200 to GET and HEAD of these paths: who only asks whether the target lives need not wake it. */
export function answerHealthChecks(paths: readonly string[] = HEALTH_PATHS): WakePolicy {
  const answer: WakeDecision = {
    ...text(200, 'asleep\n'),
    headers: { ...PLAIN, 'cache-control': 'no-store' },
  }
  return (request) => (isRead(request) && paths.includes(pathOf(request)) ? answer : undefined)
}

/** 200 without a body to every HEAD: link checkers and previews. What GET would answer is not known while it sleeps. */
export function answerHead(): WakePolicy {
  return ({ method }) => (method === 'HEAD' ? { action: 'answer', statusCode: 200 } : undefined)
}

/** What the app allows to pages of other origins. */
export interface PreflightOptions {
  /** Who may call: `*`, or the origins that are named back to themselves. */
  readonly origin: '*' | readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  /** Seconds for which a browser need not ask again. */
  readonly maxAge?: number
}

/**
 * 204 to CORS preflights, with what the app itself would allow: only the embedder can know. Other origins and a plain
 * OPTIONS are left to the next policy.
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
    // The answer to one origin must not be kept for another.
    const vary = origin === '*' ? {} : { vary: 'origin' }
    const cors = { 'access-control-allow-origin': allow, ...allowed, ...vary }
    return { action: 'answer', statusCode: 204, headers: cors }
  }
}

/** 204 to `/favicon.ico`, not to be kept: once awake, the target may have one. */
export function answerFavicon(): WakePolicy {
  const none: WakeDecision = { action: 'answer', statusCode: 204, headers: { 'cache-control': 'no-store' } }
  return (request) => (isRead(request) && pathOf(request) === '/favicon.ico' ? none : undefined)
}

/** 200 with this text to `/robots.txt`. */
export function answerRobots(rules: string): WakePolicy {
  return (request) => (isRead(request) && pathOf(request) === '/robots.txt' ? text(200, rules) : undefined)
}

/** Who is taken for a monitor, and what it is told. */
export interface MonitorOptions {
  /** Parts of User-Agent headers, whatever their case. Default: `KNOWN_MONITORS`. */
  readonly agents?: readonly string[]
  /** Default 200: a target that sleeps is not down. */
  readonly statusCode?: number
}

/** Answers GET and HEAD of monitors, which would else keep a target awake by asking whether it is. */
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
 * The loading page to navigations of a browser: GET that accepts HTML and, where the browser says what it is for, is no
 * frame, image or fetch of a page.
 */
export function showLoadingPage(): WakePolicy {
  return ({ method, headers }) => {
    const mode = headers['sec-fetch-mode'] ?? 'navigate'
    const navigates = method === 'GET' && mode === 'navigate' && (headers.accept ?? '').includes('text/html')
    return navigates ? { action: 'page' } : undefined
  }
}

/** SCALER_ASLEEP to whatever gets here: the last of a list that lets only some requests wake. `retryAfter` in seconds. */
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
