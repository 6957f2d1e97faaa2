import type { Activator, TargetKey } from '@fp/scaler'
import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { Client } from 'undici'
import { publicError } from './failures.ts'

/** As much of an answer as is shown. */
const MAX_BODY = 1024 * 1024
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
): Promise<ProxyAnswer> {
  const signal = AbortSignal.timeout(TIMEOUT)
  const began = performance.now()
  try {
    using lease = await activator.acquire(target.key, { signal })
    const client = clientOf(lease.endpoint.url)
    try {
      const response = await client.request({
        path: call.path,
        method: call.method,
        headers: { ...call.headers, host: target.host },
        body: call.body ?? null,
        signal,
      })
      const { text, truncated } = await readUpTo(response.body, MAX_BODY)
      return {
        status_code: response.statusCode,
        headers: flatten(response.headers),
        body: text,
        body_truncated: truncated,
        latency_ms: Math.round((performance.now() - began) * 10) / 10,
        cold_start: lease.coldStart !== undefined,
      }
    } finally {
      await client.destroy()
    }
  } catch (error) {
    throw publicError(error as Error)
  }
}

/** Of an endpoint: a unix socket here, an address in a cluster. */
function clientOf(url: URL): Client {
  if (url.protocol !== 'unix:') return new Client(url.origin)
  return new Client('http://app', { connect: { socketPath: decodeURIComponent(url.pathname) } })
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]),
  )
}

/** The first bytes as text; a stream without end is cut off there and left. */
async function readUpTo(
  body: AsyncIterable<Buffer>,
  limit: number,
): Promise<{ text: string; truncated: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit)
      return { text: Buffer.concat(chunks).subarray(0, limit).toString('utf8'), truncated: true }
  }
  return { text: Buffer.concat(chunks).toString('utf8'), truncated: false }
}
