import type { Activator, Lease } from '@fp/scaler'
import { Client } from 'undici'
import { FpError } from '../errors.ts'
import type { AppAnswer, AppRequest } from '../gate/gate.ts'
import { passOn } from '../pass-on.ts'
import { endToEnd } from './call-headers.ts'
import { clientHeaders } from './client-prefix.ts'
import { publicError } from './failures.ts'

const MAX_HEADERS = 64 * 1024

/**
 * One request to an app on behalf of the platform or of the app's owner, through the activator like any other: it wakes the
 * app, counts as a request, and has a place in the queue. Both bodies are streams. The lease is given back when the answer's
 * body has ended or was destroyed. What goes wrong at the app is an FpError for visitors.
 */
export async function callApp(
  activator: Pick<Activator, 'acquire'>,
  request: AppRequest,
  { signal }: { signal: AbortSignal },
): Promise<AppAnswer> {
  let lease: Lease
  try {
    lease = await activator.acquire(request.key, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw publicError(error as Error)
  }
  const client = clientOf(lease.endpoint.url)
  const done = (): void => {
    lease.release()
    void client.destroy()
  }
  try {
    const response = await client.request({
      path: request.path,
      method: request.method,
      headers: clientHeaders(request, endToEnd(request.headers)),
      body: request.body ?? null,
      signal,
    })
    if (response.statusCode > 599) throw new RangeError(`${response.statusCode} is no status of HTTP`)
    return {
      status: response.statusCode,
      headers: answerHeaders(response.headers),
      body: passOn(response.body, {
        failure: (error) => error && (signal.aborted ? (signal.reason as Error) : appFault(error)),
        done,
      }),
      coldStart: lease.coldStart !== undefined,
    }
  } catch (error) {
    done()
    signal.throwIfAborted()
    throw appFault(error as Error)
  }
}

/** With the length, which says what a HEAD request would have answered. */
function answerHeaders(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]),
  )
  const length = flat['content-length']
  return { ...endToEnd(flat), ...(length !== undefined && { 'content-length': length }) }
}

function appFault(error: Error & { code?: string; syscall?: string }): FpError {
  const { code = '', syscall, message } = error
  if (/_(HEADERS|BODY|CONNECT)_TIMEOUT$/.test(code)) {
    return new FpError('FP_APP_TIMEOUT', 'The app did not answer in time.', { cause: error })
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    const text = `The headers of the app's answer are larger than ${MAX_HEADERS / 1024} KB.`
    return new FpError('FP_APP_HEADERS_TOO_LARGE', text, { cause: error })
  }
  const lost = code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || syscall !== undefined
  const text = lost
    ? 'The app closed the connection before its answer was complete. Its log may say why.'
    : `The app did not answer in valid HTTP: ${message}.`
  return new FpError('FP_APP_CRASHED', text, { cause: error })
}

/** Of an endpoint: a unix socket here, an address in a cluster. */
function clientOf(url: URL): Client {
  const limits = { maxHeaderSize: MAX_HEADERS }
  if (url.protocol !== 'unix:') return new Client(url.origin, limits)
  return new Client('http://app', { ...limits, connect: { socketPath: decodeURIComponent(url.pathname) } })
}
