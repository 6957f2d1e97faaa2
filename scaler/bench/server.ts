import { spawn, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'

/** The unit of processor time in /proc: on Linux, always a hundredth of a second. */
const TICK = 10_000
/** ms between two checks whether a starting server listens. */
const LOOK_INTERVAL = 20

/** A server in a separate process that is bound to one core. */
export class Server implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** Starts the server, and resolves when it listens. `command` gets the port to listen at. */
  static async start(cpu: number, command: (port: number) => readonly string[], env = {}): Promise<Server> {
    const port = await freePort()
    const child = spawn('taskset', ['-c', String(cpu), ...command(port)], {
      env: { ...process.env, ...env },
      stdio: 'ignore',
    })
    while (!(await listens(port))) {
      if (child.exitCode !== null) throw new Error(`The server does not start: ${command(port).join(' ')}`)
      await wait(LOOK_INTERVAL)
    }
    return new Server(child, port)
  }

  /** The processor time so far (user and system) in µs. taskset replaces itself by the server, so both have the same pid. */
  async cpu(): Promise<number> {
    const stat = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return
    this.#child.kill()
    await once(this.#child, 'exit')
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
