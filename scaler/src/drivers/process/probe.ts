import { request } from 'node:http'
import { addressOf, socketPathOf } from '../../address.ts'

export interface Probe {
  readonly path: string
  /** The status that means ready. If undefined, any status below 500. */
  readonly status: number | undefined
}

/** Resolves to whether the replica is ready. */
export async function isReady(url: URL, { path, status }: Probe, signal: AbortSignal): Promise<boolean> {
  const got = await answerOf(url, path, signal)
  return status === undefined ? got < 500 : got === status
}

/**
 * Sends one GET to a replica and resolves to the status of its response. There is no time limit other than the signal: an app
 * that needs long for its first response is still starting.
 */
export function answerOf(url: URL, path: string, signal: AbortSignal): Promise<number> {
  const socketPath = socketPathOf(url)
  const address = socketPath === undefined ? addressOf(url) : { socketPath }
  return new Promise((resolve, reject) => {
    const probe = request({ ...address, path, signal, agent: false }, (response) => {
      response.resume().once('error', () => undefined)
      resolve(response.statusCode ?? 0)
    })
    // Not removed after the response: a later abort emits an error, which needs a listener.
    probe.on('error', reject)
    probe.end()
  })
}
