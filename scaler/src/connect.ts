import { connect } from 'node:net'
import { addressOf } from './address.ts'
import type { Endpoint } from './types.ts'

/** ms after which an attempt to connect ends. */
const TIMEOUT = 500

/** Resolves to true when the endpoint accepts a connection; rejects if it does not. For drivers that have no `probe`. */
export function accepts({ url }: Endpoint, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(addressOf(url))
    const end = (): void => void socket.destroy()
    signal.addEventListener('abort', end, { once: true })
    socket
      .setTimeout(TIMEOUT, () =>
        socket.destroy(Object.assign(new Error('No connection.'), { code: 'ETIMEDOUT' })),
      )
      .once('connect', () => resolve(true))
      // A full queue of connections: somebody listens, and is busy.
      .once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EAGAIN' ? resolve(true) : reject(error),
      )
      .once('close', () => signal.removeEventListener('abort', end))
      .once('connect', end)
    if (signal.aborted) end()
  })
}
