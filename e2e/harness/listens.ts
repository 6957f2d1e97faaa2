import { once } from 'node:events'
import { connect } from 'node:net'

/** Whether something accepts connections at a port of loopback. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const up = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return up
}
