import { spawn } from 'node:child_process'
import type { Clock } from '../../clock.ts'
import type { ProcessOutput, ProcessSpec } from './options.ts'

export interface Exit {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

export interface GroupOptions {
  readonly clock: Clock
  /** ms from SIGTERM until SIGKILL. */
  readonly stopTimeout: number
  output(stream: ProcessOutput['stream'], text: string): void
}

/** A command and all its descendants that stay in its process group. */
export interface ProcessGroup {
  /** False where the system did not start it; `ended` says why. */
  readonly started: boolean
  /** Settles once nothing of it is left and its output has been read. Rejects when the system did not start it. */
  readonly ended: Promise<Exit>
  /** Idempotent: asks it to end, and kills what has not ended in time. */
  stop(): void
  /** Without asking, and at once. */
  kill(): void
}

/** ms for the last words of an ended process: one that left the group may hold its pipes open for ever. */
const OUTPUT_GRACE = 100

/** Throws where the command is none that could be started anywhere. */
export function startGroup(spec: ProcessSpec, { clock, stopTimeout, output }: GroupOptions): ProcessGroup {
  const child = spawn(spec.command, spec.args ?? [], {
    cwd: spec.cwd,
    env: spec.env ?? {},
    stdio: ['ignore', 'pipe', 'pipe'],
    // The leader of a group of its own: it can be signalled with its children, and Ctrl-C is its embedder's to answer.
    detached: true,
  })
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => output(stream, text))
  }

  let exit: Exit | undefined
  let over = false
  let stopping = false
  let killed = false
  let cancel = (): void => undefined
  const { promise: ended, resolve, reject } = Promise.withResolvers<Exit>()

  function signal(name: NodeJS.Signals): void {
    // Once it is over, another group may have its number.
    if (over || child.pid === undefined) return
    try {
      process.kill(-child.pid, name)
    } catch {
      // Nobody is left in it.
    }
  }

  function kill(): void {
    killed = true
    signal('SIGKILL')
    if (exit) lastWords()
  }

  function lastWords(): void {
    cancel()
    cancel = clock.schedule(OUTPUT_GRACE, finish)
  }

  function finish(): void {
    if (over || !exit) return
    cancel()
    signal('SIGKILL')
    over = true
    child.stdout.destroy()
    child.stderr.destroy()
    resolve(exit)
  }

  child.once('error', (error) => {
    over = true
    cancel()
    reject(error)
  })
  child.once('exit', (exitCode, name) => {
    exit = { exitCode, signal: name }
    // Told to stop, its children may still be at work for a while; those of a crashed one serve nobody.
    if (!stopping || killed) lastWords()
  })
  // Nobody holds its pipes any more.
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
