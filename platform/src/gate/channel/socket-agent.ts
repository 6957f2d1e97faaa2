import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Time between two attempts to connect, in ms. */
const RETRY = 50
/** Error codes when nobody listens, or when the kernel's queue of connections to be accepted is full. */
const ABSENT = new Set(['ENOENT', 'ECONNREFUSED', 'EAGAIN'])

export interface SocketAgentOptions {
  /** The path of a unix socket. */
  readonly path: string
  /** How long to retry to connect, in ms: the process that listens may be restarting. */
  readonly patience: number
}

interface Waiting {
  /** In the time of `performance.now`. */
  readonly until: number
  goOn(): void
  giveUp(error: Error): void
}

/**
 * Connections to another process of this machine. A request waits while the other process restarts. This is safe, as nothing
 * of it has been sent.
 */
export function createSocketAgent(options: SocketAgentOptions): Agent {
  const agent = new Agent({ keepAlive: true })
  const dial = createDialer(options)
  type Done = (error: Error | null, socket?: Socket) => void
  Object.assign(agent, {
    createConnection(_options: unknown, done: Done): void {
      void dial().then(
        (socket) => done(null, socket),
        (error: Error) => done(error),
      )
    },
  })
  return agent
}

/** Resolves once a process listens on the socket. Rejects when none does within `patience` ms. */
export async function awaitListener(options: SocketAgentOptions): Promise<void> {
  const socket = await createDialer(options)()
  socket.destroy()
}

function createDialer({ path, patience }: SocketAgentOptions): () => Promise<Socket> {
  const waiting = new Set<Waiting>()
  return dial

  async function dial(): Promise<Socket> {
    const until = performance.now() + patience
    for (;;) {
      try {
        return await connected(path)
      } catch (error) {
        if (!isAbsent(error) || performance.now() >= until) throw error
        await back(until)
      }
    }
  }

  /** Resolves once another attempt may succeed. Rejects when the time in `until` is over. */
  function back(until: number): Promise<void> {
    return new Promise((goOn, giveUp) => {
      waiting.add({ until, goOn, giveUp })
      if (waiting.size === 1) void probe()
    })
  }

  /** Makes one attempt after the other for all waiting requests, so that a thousand of these do not make a thousand attempts. */
  async function probe(): Promise<void> {
    while (waiting.size > 0) {
      await delay(RETRY)
      const error = await connected(path).then(
        (socket) => void socket.destroy(),
        (failure: Error) => failure,
      )
      for (const one of [...waiting]) {
        if (!isAbsent(error)) one.goOn()
        else if (performance.now() >= one.until) one.giveUp(error)
        else continue
        waiting.delete(one)
      }
    }
  }
}

function isAbsent(error: unknown): error is Error {
  return ABSENT.has((error as NodeJS.ErrnoException | undefined)?.code ?? '')
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
