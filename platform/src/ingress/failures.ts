import { QueueFull, ScalerError, type ScalerErrorCode } from '@fp/scaler'
import type { IncomingHttpHeaders } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { FpError, type ErrorCode } from '../errors.ts'
import { wakesFull } from '../runtime/wakes.ts'

/** What a visitor of an app is told. The app's own words (tracebacks) are for its owner alone, in the console. */
const PUBLIC: Record<ScalerErrorCode, { code: ErrorCode; message?: string }> = {
  SCALER_BAD_REQUEST: { code: 'FP_BAD_REQUEST' },
  SCALER_QUEUE_FULL: {
    code: 'FP_QUEUE_FULL',
    message: 'Too many requests are waiting for this app. Try again shortly.',
  },
  SCALER_WAKES_FULL: {
    code: 'FP_QUEUE_FULL',
    message: 'Too many apps are waiting to start. Try again shortly.',
  },
  SCALER_CLOSED: { code: 'FP_UNAVAILABLE', message: 'The server is restarting. Try again shortly.' },
  SCALER_RETIRED: { code: 'FP_UNAVAILABLE', message: 'The app is being replaced. Try again.' },
  SCALER_CUT_OFF: {
    code: 'FP_UNAVAILABLE',
    message: 'The server cannot start apps just now. Try again shortly.',
  },
  SCALER_ASLEEP: { code: 'FP_UNAVAILABLE', message: 'The app is asleep, and this request does not wake it.' },
  SCALER_WAKE_TIMEOUT: { code: 'FP_WAKE_TIMEOUT', message: 'The app did not start in time.' },
  SCALER_TARGET_FAILED: {
    code: 'FP_APP_CRASHED',
    message: 'The app could not start. Its owner sees why in the console.',
  },
  SCALER_UPSTREAM_RESET: {
    code: 'FP_APP_CRASHED',
    message: 'The app ended before it answered. Its owner sees why in the console.',
  },
  SCALER_UPSTREAM_REFUSED: {
    code: 'FP_APP_CRASHED',
    message: 'The app does not accept connections. Its owner sees why in the console.',
  },
  SCALER_UPSTREAM_INVALID: { code: 'FP_APP_CRASHED', message: 'The app did not answer in valid HTTP.' },
  SCALER_UPSTREAM_HEAD_TOO_LARGE: { code: 'FP_APP_HEADERS_TOO_LARGE' },
  SCALER_UPSTREAM_TIMEOUT: { code: 'FP_APP_TIMEOUT' },
}

/** Why an app could not start though it is not at fault: another try may find things better. */
const OF_THE_PLACE = new Set([
  'FP_APP_EVICTED',
  'FP_CLUSTER_FULL',
  'FP_CLUSTER_IMAGE',
  'FP_CLUSTER_POD',
  'FP_SANDBOX_FAILED',
  'SCALER_SCALE_FAILED',
])

const TOO_MANY_AWAKE =
  'The owner of this app has as many apps awake as one user may have, and all of them are busy. Try again in some seconds.'

/** The visitor's error for whatever went wrong on the way to the app. */
export function publicError(error: Error & { statusCode?: number }): FpError {
  if (error instanceof FpError) return error
  if (error instanceof ScalerError) {
    if (error.failure?.code === 'FP_AWAKE_LIMIT')
      return new FpError('FP_AWAKE_LIMIT', TOO_MANY_AWAKE, { headers: error.headers, cause: error })
    if (error.code === 'SCALER_TARGET_FAILED' && OF_THE_PLACE.has(error.failure?.code ?? ''))
      return new FpError('FP_UNAVAILABLE', 'The server cannot start the app just now. Try again shortly.', {
        headers: { 'retry-after': '5' },
        cause: error,
      })
    if (error.cause instanceof QueueFull) return wakesFull(error.cause)
    const { code, message = error.message } = PUBLIC[error.code]
    return new FpError(code, message, { headers: error.headers, cause: error })
  }
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    return new FpError('FP_BAD_REQUEST', error.message, { cause: error })
  }
  return new FpError('FP_INTERNAL', 'Something went wrong on the way to the app.', { cause: error })
}

export interface ErrorBody {
  code: string
  message: string
  request_id: string
}

export function errorBody(error: FpError, requestId: string): ErrorBody {
  return { code: error.code, message: error.message, request_id: requestId }
}

/** A page for people; the same facts as the JSON. */
export function errorPage(error: FpError, requestId: string): string {
  return page(
    STATUS_CODES[error.statusCode] ?? 'Error',
    `<h1>${error.statusCode}</h1><p>${escapeHtml(error.message)}</p><p class="id">${error.code} · request <code>${escapeHtml(requestId)}</code></p>`,
  )
}

/** The one look of the few pages that the front door itself sends. */
export function page(title: string, body: string, script?: { nonce: string; text: string }): string {
  const code = script ? `<script nonce="${script.nonce}">${script.text}</script>` : ''
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)}</title><style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:0;min-height:100vh;display:grid;place-items:center;background:light-dark(#fafafa,#101014);color:light-dark(#18181b,#e4e4e7)}
main{padding:2rem;max-width:28rem;text-align:center}h1{font-size:1.25rem;font-weight:600;margin:0 0 .5rem}p{margin:.25rem 0}.id{color:light-dark(#71717a,#a1a1aa);font-size:.8rem;margin-top:1.25rem}code{font-family:ui-monospace,monospace}
.moon{font-size:2rem;color:light-dark(#b45309,#fbbf24);display:inline-block;animation:breathe 2s ease-in-out infinite}ol{list-style:none;padding:0;margin:1.25rem auto 0;width:14rem;text-align:left;font-size:.9rem}li{display:flex;justify-content:space-between;color:light-dark(#71717a,#a1a1aa)}li span{font-variant-numeric:tabular-nums}
@keyframes breathe{50%{opacity:.45}}@media(prefers-reduced-motion:reduce){.moon{animation:none}}</style></head><body><main>${body}</main>${code}</body></html>`
}

/** Whether a person looks at the answer, not a program. */
export function wantsPage({ headers }: { headers: IncomingHttpHeaders }): boolean {
  return (headers.accept ?? '').includes('text/html')
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** The answer to a WebSocket that could not be opened, written by hand: there is no response object for an upgrade. */
export function refuseUpgrade(error: Error, requestId: string, socket: Duplex): void {
  const failure = publicError(error)
  const body = JSON.stringify(errorBody(failure, requestId))
  const head = [
    `HTTP/1.1 ${failure.statusCode} ${STATUS_CODES[failure.statusCode]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    `x-request-id: ${requestId}`,
    ...Object.entries(failure.headers).map(([name, value]) => `${name}: ${value}`),
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
