import { request } from 'node:http'
import type { Endpoint } from '../types.ts'

/** ms after which an endpoint counts as not responding: packets to an address that is gone may be lost without an error. */
const PATIENCE = 5_000

/** Sends a GET to an endpoint directly; rejects if nobody listens. */
export function get(
  endpoint: Endpoint,
  path = '/',
  signal?: AbortSignal,
): Promise<{ status: number; text: string }> {
  const { url } = endpoint
  const address =
    url.protocol === 'unix:'
      ? { socketPath: decodeURIComponent(url.pathname) }
      : { host: url.hostname, port: url.port }
  return new Promise((resolve, reject) => {
    const sent = request({ ...address, path, agent: false, ...(signal ? { signal } : {}) }, (response) => {
      let text = ''
      response
        .setEncoding('utf8')
        .on('data', (part: string) => (text += part))
        .once('error', reject)
        .once('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.once('error', reject).end()
  })
}

/** Whether the endpoint answers HTTP. */
export function answers(endpoint: Endpoint): Promise<boolean> {
  return get(endpoint, '/', AbortSignal.timeout(PATIENCE)).then(
    ({ status }) => status < 500,
    () => false,
  )
}
