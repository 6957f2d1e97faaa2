import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Between two attempts to connect, ms. */
const RETRY = 50

export interface SocketAgentOptions {
  /** The path of a unix socket. */
  readonly path: string
  /** How long to go on trying to connect, ms: the process that listens may be starting again. */
  readonly patience: number
}

/**
 * Connections to another process of this machine. A request waits while the other process restarts: nothing of it has been
 * sent, so nothing is lost.
 */
export function createSocketAgent({ path, patience }: SocketAgentOptions): Agent {
  const agent = new Agent({ keepAlive: true })
  type Done = (error: Error | null, socket?: Socket) => void
  Object.assign(agent, {
    createConnection(_options: unknown, done: Done): void {
      void dial(path, patience).then(
        (socket) => done(null, socket),
        (error: Error) => done(error),
      )
    },
  })
  return agent
}

/** Resolves once somebody listens at the socket. Rejects when nobody does for `patience` ms. */
export async function awaitListener({ path, patience }: SocketAgentOptions): Promise<void> {
  const socket = await dial(path, patience)
  socket.destroy()
}

async function dial(path: string, patience: number): Promise<Socket> {
  const end = performance.now() + patience
  for (;;) {
    try {
      return await connected(path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const isAbsent = code === 'ENOENT' || code === 'ECONNREFUSED'
      if (!isAbsent || performance.now() >= end) throw error
      await delay(RETRY)
    }
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
