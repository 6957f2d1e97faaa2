import { connect, type Socket } from 'node:net'
import { errors } from 'undici'
import type { Endpoint } from '../types.ts'
import { CONNECT_TIMEOUT, socketPathOf } from './pools.ts'

/** ms of silence after which the machine at the other end is asked whether it is still there: a lease hangs on it. */
export const KEEP_ALIVE = 30_000

/** A connection to an endpoint that may be closed by half: either end of a tunnel may have more to say than the other. */
export function connectTo({ url }: Endpoint): Socket {
  const path = socketPathOf(url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const at = path === undefined ? { host, port: Number(url.port || 80) } : { path }
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE }
  const socket = connect({ ...at, ...keepAlive, allowHalfOpen: true, noDelay: true })
  socket.setTimeout(CONNECT_TIMEOUT, () => socket.destroy(new errors.ConnectTimeoutError()))
  return socket.once('connect', () => socket.setTimeout(0))
}
