import type { Activator, TargetKey } from '@fp/scaler'
import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { Client } from 'undici'
import { FpError } from '../errors.ts'
import type { Caller } from '../modules/calls/service.ts'
import { callerHeaders } from './client-prefix.ts'
import { publicError } from './failures.ts'

/** As much of an answer as is shown. */
const MAX_BODY = 1024 * 1024
const MAX_HEADERS = 64 * 1024
const TIMEOUT = 60_000

export interface CallTarget {
  readonly key: TargetKey
  /** The app's own host name. */
  readonly host: string
}

/** One request to an app on behalf of its owner (the console's try-it panel), through the activator like any other. */
export async function callApp(
  activator: Activator,
  target: CallTarget,
  call: ProxyBody,
  caller: Caller,
): Promise<ProxyAnswer> {
  const timeout = AbortSignal.timeout(TIMEOUT)
  const signal = AbortSignal.any([timeout, caller.gone])
  const began = performance.now()
  try {
    using lease = await activator.acquire(target.key, { signal })
    const answer = await send(lease.endpoint.url, target.host, call, caller, signal)
    return {
      ...answer,
      latency_ms: Math.round((performance.now() - began) * 10) / 10,
      cold_start: lease.coldStart !== undefined,
    }
  } catch (error) {
    caller.gone.throwIfAborted()
    throw timeout.aborted ? noAnswer(error as Error) : publicError(error as Error)
  }
}

type Answer = Pick<ProxyAnswer, 'status_code' | 'headers' | 'body' | 'body_encoding' | 'body_truncated'>

/** The app's answer. What goes wrong here is the app's doing and never an error of the platform. */
async function send(
  url: URL,
  host: string,
  call: ProxyBody,
  caller: Caller,
  signal: AbortSignal,
): Promise<Answer> {
  const client = clientOf(url)
  try {
    const response = await client.request({
      path: call.path,
      method: call.method,
      headers: { ...callerHeaders(call, host, caller), host },
      body: call.body ?? null,
      signal,
    })
    if (response.statusCode > 599) throw new RangeError(`${response.statusCode} is no status of HTTP`)
    const { bytes, truncated } = await readUpTo(response.body, MAX_BODY)
    const headers = flatten(response.headers)
    return {
      status_code: response.statusCode,
      headers,
      ...shown(bytes, headers['content-type'] ?? '', truncated),
      body_truncated: truncated,
    }
  } catch (error) {
    throw appFault(error as Error)
  } finally {
    await client.destroy()
  }
}

function appFault(error: Error & { code?: string; syscall?: string }): FpError {
  const { code = '', syscall, message } = error
  if (/_(HEADERS|BODY|CONNECT)_TIMEOUT$/.test(code)) return noAnswer(error)
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

function noAnswer(error: Error): FpError {
  const text = `The app did not answer within ${TIMEOUT / 1000} s. A stream without an end cannot be shown here.`
  return new FpError('FP_APP_TIMEOUT', text, { cause: error })
}

/** Of an endpoint: a unix socket here, an address in a cluster. */
function clientOf(url: URL): Client {
  const limits = { maxHeaderSize: MAX_HEADERS }
  if (url.protocol !== 'unix:') return new Client(url.origin, limits)
  return new Client('http://app', { ...limits, connect: { socketPath: decodeURIComponent(url.pathname) } })
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]),
  )
}

/** As text where it is text, in the encoding that its type names, else UTF-8. */
function shown(
  bytes: Buffer,
  contentType: string,
  truncated: boolean,
): Pick<ProxyAnswer, 'body' | 'body_encoding'> {
  const charset = /;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1] ?? 'utf-8'
  try {
    // What was cut off may end in the middle of a character.
    const body = new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(bytes, {
      stream: truncated,
    })
    if (!body.includes('\0')) return { body, body_encoding: 'text' }
  } catch {
    // No such encoding, or not encoded in it.
  }
  return { body: bytes.toString('base64'), body_encoding: 'base64' }
}

/** The first bytes; a stream without end is cut off there and left. */
async function readUpTo(
  body: AsyncIterable<Buffer>,
  limit: number,
): Promise<{ bytes: Buffer; truncated: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) return { bytes: Buffer.concat(chunks).subarray(0, limit), truncated: true }
  }
  return { bytes: Buffer.concat(chunks), truncated: false }
}
