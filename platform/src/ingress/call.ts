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
 * Sends one request to an app for the platform or the app's owner, through the activator like any other request: it wakes
 * the app, counts as a request, and has a place in the queue. Both bodies are streams. The lease is released when the
 * answer's body has ended or was destroyed. Errors of the app become FpErrors for visitors.
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

/** Keeps the length, which tells how long the body would be in an answer to HEAD. */
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

/** The HTTP client for an endpoint: a unix socket on this machine, an address in a cluster. */
function clientOf(url: URL): Client {
  const limits = { maxHeaderSize: MAX_HEADERS }
  if (url.protocol !== 'unix:') return new Client(url.origin, limits)
  return new Client('http://app', { ...limits, connect: { socketPath: decodeURIComponent(url.pathname) } })
}
