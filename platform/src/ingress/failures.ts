import { QueueFull, ScalerError, type ScalerErrorCode } from '@fp/scaler'
import { errorInfo } from '@fp/sdk/errors'
import type { IncomingHttpHeaders } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Logger } from 'pino'
import { FpError, type ErrorCode } from '../errors.ts'
import { isFaultOfPlatform } from '../runtime/failure-log.ts'
import { wakesFull } from '../runtime/wakes.ts'

/** What visitors of an app read. Only the app's owner sees the text of a failure (a traceback), in the console. */
interface Public {
  readonly code: ErrorCode
  /** A more specific text than that in the table of error codes. `true`: the scaler's message is for everybody. */
  readonly message?: string | true
}

const PUBLIC: Record<ScalerErrorCode, Public> = {
  SCALER_BAD_REQUEST: { code: 'FP_BAD_REQUEST', message: true },
  SCALER_QUEUE_FULL: { code: 'FP_QUEUE_FULL' },
  SCALER_QUEUE_TIMEOUT: {
    code: 'FP_QUEUE_FULL',
    message: 'The app is busy with other requests. Try again shortly.',
  },
  SCALER_WAKES_FULL: {
    code: 'FP_QUEUE_FULL',
    message: 'Too many apps are waiting to start. Try again shortly.',
  },
  SCALER_AWAKE_FULL: { code: 'FP_AWAKE_LIMIT' },
  SCALER_CLOSED: { code: 'FP_UNAVAILABLE', message: 'The server is restarting. Try again shortly.' },
  SCALER_RETIRED: { code: 'FP_UNAVAILABLE', message: 'The app is being replaced. Try again.' },
  SCALER_CUT_OFF: {
    code: 'FP_UNAVAILABLE',
    message: 'The server cannot start apps just now. Try again shortly.',
  },
  SCALER_OUTDATED: { code: 'FP_UNAVAILABLE', message: 'The server is being updated. Try again shortly.' },
  SCALER_ASLEEP: { code: 'FP_UNAVAILABLE', message: 'The app is asleep, and this request does not wake it.' },
  SCALER_WAKE_TIMEOUT: { code: 'FP_WAKE_TIMEOUT' },
  SCALER_TARGET_FAILED: { code: 'FP_APP_CRASHED' },
  SCALER_UPSTREAM_RESET: {
    code: 'FP_APP_CRASHED',
    message: 'The app closed the connection before it answered. Its owner sees why in the console.',
  },
  SCALER_UPSTREAM_REFUSED: {
    code: 'FP_APP_CRASHED',
    message: 'The app does not accept connections. Its owner sees why in the console.',
  },
  SCALER_UPSTREAM_INVALID: { code: 'FP_APP_CRASHED', message: 'The app did not answer in valid HTTP.' },
  SCALER_UPSTREAM_HEAD_TOO_LARGE: { code: 'FP_APP_HEADERS_TOO_LARGE', message: true },
  SCALER_UPSTREAM_TIMEOUT: { code: 'FP_APP_TIMEOUT', message: true },
  SCALER_REQUEST_TIMEOUT: { code: 'FP_APP_TIMEOUT', message: true },
  SCALER_BODY_TIMEOUT: { code: 'FP_APP_TIMEOUT', message: true },
}

const visitorsText = (code: ErrorCode): string => errorInfo(code)?.visitor ?? 'The request failed.'

/** Converts any error on the way to the app into one for visitors. */
export function publicError(error: Error & { statusCode?: number }): FpError {
  if (error instanceof FpError) return error
  if (error instanceof ScalerError) return publicScalerError(error)
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    return new FpError('FP_BAD_REQUEST', error.message, { cause: error })
  }
  return new FpError('FP_INTERNAL', visitorsText('FP_INTERNAL'), { cause: error })
}

function publicScalerError(error: ScalerError): FpError {
  const failure = error.failure?.code ?? ''
  if (failure === 'AWAKE_PRESSURE')
    return new FpError('FP_MEMORY_FULL', visitorsText('FP_MEMORY_FULL'), {
      headers: error.headers,
      cause: error,
    })
  if (error.code === 'SCALER_TARGET_FAILED' && isFaultOfPlatform(failure))
    return new FpError('FP_UNAVAILABLE', visitorsText('FP_UNAVAILABLE'), {
      headers: { 'retry-after': '5' },
      cause: error,
    })
  if (error.cause instanceof QueueFull) return wakesFull(error.cause)
  const { code, message = visitorsText(code) } = PUBLIC[error.code]
  return new FpError(code, message === true ? error.message : message, {
    headers: error.headers,
    cause: error,
  })
}

/** Logs why a request to an app failed. Only faults of the platform have a stack: that of an app's failure says nothing about the app. */
export function logFailure(
  log: Pick<Logger, 'debug' | 'info' | 'warn'>,
  error: Error,
  { message, request }: { message: string; request: { readonly request_id: string; readonly host: string } },
): void {
  const failure = error instanceof ScalerError ? error.failure : undefined
  const isOurs =
    !(error instanceof ScalerError) ||
    error.code === 'SCALER_CUT_OFF' ||
    error.code === 'SCALER_OUTDATED' ||
    (failure !== undefined && isFaultOfPlatform(failure.code))
  if (isOurs) return log.warn({ err: error, ...request }, message)
  const why = { code: failure?.code ?? error.code, reason: failure?.message ?? error.message, ...request }
  // The failure itself is in the log already. Here it is the reason of each request that meets it.
  log[failure ? 'debug' : 'info'](why, message)
}

export interface ErrorBody {
  code: string
  message: string
  request_id: string
}

export function errorBody(error: FpError, requestId: string): ErrorBody {
  return { code: error.code, message: error.message, request_id: requestId }
}

/** A page for people with the same contents as the JSON. */
export function errorPage(error: FpError, requestId: string): string {
  return page(
    STATUS_CODES[error.statusCode] ?? 'Error',
    `<h1>${error.statusCode}</h1><p>${escapeHtml(error.message)}</p><p class="id">${error.code} · request <code>${escapeHtml(requestId)}</code></p>`,
  )
}

/** The common layout of the few pages that the gate itself sends. */
export function page(title: string, body: string, script?: { nonce: string; text: string }): string {
  const code = script ? `<script nonce="${script.nonce}">${script.text}</script>` : ''
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)}</title><style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:0;min-height:100vh;display:grid;place-items:center;background:light-dark(#fafafa,#101014);color:light-dark(#18181b,#e4e4e7)}
main{padding:2rem;max-width:28rem;text-align:center}h1{font-size:1.25rem;font-weight:600;margin:0 0 .5rem}p{margin:.25rem 0}.id{color:light-dark(#71717a,#a1a1aa);font-size:.8rem;margin-top:1.25rem}code{font-family:ui-monospace,monospace}
.moon{font-size:2rem;color:light-dark(#b45309,#fbbf24);display:inline-block;animation:breathe 2s ease-in-out infinite}ol{list-style:none;padding:0;margin:1.25rem auto 0;width:14rem;text-align:left;font-size:.9rem}li{display:flex;justify-content:space-between;color:light-dark(#71717a,#a1a1aa)}li span{font-variant-numeric:tabular-nums}
@keyframes breathe{50%{opacity:.45}}@media(prefers-reduced-motion:reduce){.moon{animation:none}}</style></head><body><main>${body}</main>${code}</body></html>`
}

/** Whether the answer is for a person in a browser and not for a program. */
export function wantsPage({ headers }: { headers: IncomingHttpHeaders }): boolean {
  return (headers.accept ?? '').includes('text/html')
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
