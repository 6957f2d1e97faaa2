import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { keepRunning, type KeptRunning } from '../keep-running.ts'

/** How long a start may take, in ms. The process first waits for its gate, which may have to set up MongoDB. */
const START_LIMIT = 300_000
/** Time that the process gets after its grace period before it is killed, in ms. */
const STOP_RESERVE = 2_500

export interface ApiProcessOptions {
  /** The program and its arguments for Node. */
  readonly script: string
  readonly execArgv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** The process's niceness, as for `nice`. */
  readonly niceness: number
  readonly onEnd: (end: { how: string; retryIn: number; error?: unknown }) => void
  readonly onRestart: () => void
}

interface ApiProcess {
  readonly pid: number
  readonly ended: Promise<string>
  /** Ends the process. Running requests and accepted deployments get `grace` ms. */
  stop(grace?: number): Promise<void>
}

/** The message from the gate to the child that it must end. */
export interface StopMessage {
  /** ms */
  readonly grace: number
}

/**
 * The API as a child process of the gate, started again whenever it ends. Rejects when it does not start the first time; it
 * has then logged the reason. The child ends by itself when this process ends, as their IPC channel closes.
 */
export function startApiProcess(options: ApiProcessOptions): Promise<KeptRunning<ApiProcess>> {
  async function launch(): Promise<ApiProcess> {
    const child = fork(options.script, {
      execArgv: [...options.execArgv],
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    if (child.pid !== undefined) setPriority(child.pid, options.niceness)
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    async function stop(grace = 0): Promise<void> {
      if (child.connected) child.send({ grace } satisfies StopMessage)
      const cut = setTimeout(() => child.kill('SIGKILL'), grace + STOP_RESERVE)
      await ended
      clearTimeout(cut)
    }
    const early = new AbortController()
    void ended.then((how) => early.abort(new Error(`The API did not start (${how}).`)))
    const late = AbortSignal.timeout(START_LIMIT)
    try {
      // The process sends one message: it accepts requests now.
      await once(child, 'message', { signal: AbortSignal.any([early.signal, late]) })
    } catch {
      await stop()
      throw early.signal.reason as Error
    }
    return { pid: child.pid!, ended, stop }
  }
  return keepRunning({ launch, onEnd: options.onEnd, onRestart: options.onRestart })
}
