import { connect, type Socket } from 'node:net'
import { errors } from 'undici'
import { addressOf } from '../address.ts'
import type { Endpoint } from '../types.ts'
import { CONNECT_TIMEOUT } from './pools.ts'

/** ms without traffic after which TCP keep-alive probes check the peer, because a dead connection would keep its lease. */
export const KEEP_ALIVE = 30_000

/** Opens a connection to an endpoint. It may be half-closed, because one side of a tunnel may end before the other. */
export function connectTo({ url }: Endpoint): Socket {
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE }
  const socket = connect({ ...addressOf(url), ...keepAlive, allowHalfOpen: true, noDelay: true })
  socket.setTimeout(CONNECT_TIMEOUT, () => socket.destroy(new errors.ConnectTimeoutError()))
  return socket.once('connect', () => socket.setTimeout(0))
}
