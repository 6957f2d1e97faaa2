import { request } from 'node:http'

export interface Probe {
  readonly path: string
  /** The status that means ready. If undefined, any status below 500. */
  readonly status: number | undefined
}

/**
 * Sends one probe to a replica and resolves to whether it is ready. There is no time limit other than the signal: an app that
 * needs long for its first response is still starting.
 */
export function answers(url: URL, { path, status }: Probe, signal: AbortSignal): Promise<boolean> {
  const address =
    url.protocol === 'unix:'
      ? { socketPath: decodeURIComponent(url.pathname) }
      : { host: url.hostname, port: url.port }
  return new Promise((resolve, reject) => {
    const probe = request({ ...address, path, signal, agent: false }, (response) => {
      response.resume().once('error', () => undefined)
      const got = response.statusCode ?? 0
      resolve(status === undefined ? got < 500 : got === status)
    })
    // Not removed after the response: a later abort emits an error, which needs a listener.
    probe.on('error', reject)
    probe.end()
  })
}
