import type { Activator, Lease } from '@fp/scaler'
import { EndpointPool } from '@fp/scaler/http'
import { FpError } from '../errors.ts'
import type { AppAnswer, AppRequest } from '../gate/gate.ts'
import { passOn } from '../pass-on.ts'
import { endToEnd } from './call-headers.ts'
import { clientHeaders } from './client-prefix.ts'
import { publicError } from './failures.ts'

/** In ms. */
const TIMEOUTS = { response: 300_000, idleBody: 300_000 }

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
  const client = new EndpointPool(lease.endpoint, TIMEOUTS)
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

/** The fault of the app. Returns a bug of the platform as it is. */
function appFault(error: Error & { code?: string; syscall?: string }): Error {
  const { code = '', syscall, message } = error
  if (error instanceof TypeError || error instanceof ReferenceError) return error
  if (/_(HEADERS|BODY|CONNECT)_TIMEOUT$/.test(code)) {
    return new FpError('FP_APP_TIMEOUT', 'The app did not answer in time.', { cause: error })
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    const text = "The headers of the app's answer are larger than 64 KB or more than 1,000 lines."
    return new FpError('FP_APP_HEADERS_TOO_LARGE', text, { cause: error })
  }
  const lost = code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || syscall !== undefined
  const text = lost
    ? 'The app closed the connection before its answer was complete. Its log may say why.'
    : `The app did not answer in valid HTTP: ${message}.`
  return new FpError('FP_APP_CRASHED', text, { cause: error })
}
