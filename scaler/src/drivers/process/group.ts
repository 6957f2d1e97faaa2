import { spawn } from 'node:child_process'
import type { Clock } from '../../clock.ts'
import type { Guard } from './guard.ts'
import type { ProcessOutput, ProcessSpec } from './options.ts'

export interface Exit {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

export interface GroupOptions {
  readonly clock: Clock
  readonly guard: Pick<Guard, 'stdin' | 'add' | 'delete'>
  /** ms from SIGTERM until SIGKILL. */
  readonly stopTimeout: number
  output(stream: ProcessOutput['stream'], text: string): void
}

/** A command and all its descendants that stay in its process group. */
export interface ProcessGroup {
  /** False if the system could not start the command; `ended` rejects with the reason. */
  readonly started: boolean
  /** Resolves when all processes of the group have ended and their output was read. Rejects if the command was not started. */
  readonly ended: Promise<Exit>
  /** Sends SIGTERM, and SIGKILL to what has not ended after `stopTimeout` ms. Idempotent. */
  stop(): void
  /** Sends SIGKILL immediately. */
  kill(): void
}

/** ms to read the remaining output of an ended process. A descendant that left the group may keep the pipes open forever. */
const OUTPUT_GRACE = 100

/** Starts the command. Throws if the command is invalid; if the system cannot start it, `ended` rejects. */
export function startGroup(
  spec: ProcessSpec,
  { clock, guard, stopTimeout, output }: GroupOptions,
): ProcessGroup {
  const child = spawn(spec.command, spec.args ?? [], {
    cwd: spec.cwd,
    env: spec.env ?? {},
    stdio: [guard.stdin, 'pipe', 'pipe'],
    // The leader of a new process group: signals reach its children too, and Ctrl-C in the terminal only reaches the embedder.
    detached: true,
  })
  if (child.pid !== undefined) guard.add(child.pid)
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]!.setEncoding('utf8').on('data', (text: string) => output(stream, text))
  }

  let exit: Exit | undefined
  let over = false
  let stopping = false
  let killed = false
  let cancel = (): void => undefined
  const { promise: ended, resolve, reject } = Promise.withResolvers<Exit>()

  function signal(name: NodeJS.Signals): void {
    // After the group has ended, another group may have the same id.
    if (over || child.pid === undefined) return
    try {
      process.kill(-child.pid, name)
    } catch {
      // The group has no processes any more.
    }
  }

  function kill(): void {
    killed = true
    signal('SIGKILL')
    if (exit) finishSoon()
  }

  function finishSoon(): void {
    cancel()
    cancel = clock.schedule(OUTPUT_GRACE, finish)
  }

  function finish(): void {
    if (over || !exit) return
    cancel()
    signal('SIGKILL')
    over = true
    guard.delete(child.pid!)
    child.stdout!.destroy()
    child.stderr!.destroy()
    resolve(exit)
  }

  child.once('error', (error) => {
    over = true
    cancel()
    reject(error)
  })
  child.once('exit', (exitCode, name) => {
    exit = { exitCode, signal: name }
    // After SIGTERM, the children may take some time to finish their work. After a crash, the children are not needed.
    if (!stopping || killed) finishSoon()
  })
  // All processes have closed their ends of the pipes.
  child.once('close', finish)

  return {
    started: child.pid !== undefined,
    ended,
    stop() {
      if (stopping || exit || over) return
      stopping = true
      signal('SIGTERM')
      cancel = clock.schedule(stopTimeout, kill)
    },
    kill,
  }
}
