import type { AppRequest } from '../gate/gate.ts'
import { newId } from '../ids.ts'

/**
 * Headers with this prefix describe the client's connection to the runner (see `clientPrefix` of @fp/scaler/http): its
 * address, and the headers that a proxy must replace. `runner/src/fp_runner/client.py` restores them. Only the platform
 * reaches an app's socket, and it overwrites such headers of clients, so nobody can forge them.
 */
export const CLIENT_PREFIX = 'fp-client'

/** Headers that only the platform sets: apps must be able to trust them. */
const OF_THE_PLATFORM = /^(x-forwarded-.*|forwarded|x-real-ip|x-request-id)$/i

/** The headers of a call, as the proxy would have sent them: see `requestHeaders` of @fp/scaler/http. */
export function clientHeaders(
  { host, body, client: { address, scheme } }: Pick<AppRequest, 'host' | 'body' | 'client'>,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  const { hostname, port } = new URL(`${scheme}://${host}`)
  const serverPort = port || (scheme === 'https' ? '443' : '80')
  const list: Record<string, string> = {
    [`${CLIENT_PREFIX}-host`]: host,
    // The caller's port is not known here, so it is 0.
    [CLIENT_PREFIX]: `${address} 0 ${scheme} ${hostname} ${serverPort} 1.1`,
    host,
    'x-forwarded-for': address,
    'x-forwarded-proto': scheme,
    'x-forwarded-host': host,
    'x-request-id': newId('req'),
  }
  if (typeof body === 'string') list[`${CLIENT_PREFIX}-content-length`] = String(Buffer.byteLength(body))
  for (const [name, value] of Object.entries(headers))
    if (!OF_THE_PLATFORM.test(name))
      list[name.toLowerCase().startsWith(CLIENT_PREFIX) ? `${CLIENT_PREFIX}-${name}` : name] = value
  return list
}
