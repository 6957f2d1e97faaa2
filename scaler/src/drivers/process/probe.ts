import { request } from 'node:http'
import type { ProcessPlace, ProcessSpec } from './options.ts'

export interface Probe {
  readonly path: string
  /** Any below 500 where none is given. */
  readonly status: number | undefined
}

/** Asks a replica once. It has no time limit of its own: an app that takes long for its first answer is starting, not dead. */
export function answers(
  place: ProcessPlace,
  listen: ProcessSpec['listen'],
  { path, status }: Probe,
  signal: AbortSignal,
): Promise<boolean> {
  const address =
    listen === 'socket' ? { socketPath: place.socketPath } : { host: '127.0.0.1', port: place.port }
  return new Promise((resolve, reject) => {
    const probe = request({ ...address, path, signal, agent: false }, (response) => {
      response.resume().once('error', () => undefined)
      const got = response.statusCode ?? 0
      resolve(status === undefined ? got < 500 : got === status)
    })
    // Stays: an abort after the answer must find a listener.
    probe.on('error', reject)
    probe.end()
  })
}
