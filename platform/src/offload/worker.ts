import { fork, type ChildProcess } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { JobMessage, JobName, ResultMessage } from './protocol.ts'

/** The work was not done in time. */
export class JobTimeout extends Error {
  override readonly name = 'JobTimeout'
}

/** The process ended before the job was done. */
export class WorkerEnded extends Error {
  override readonly name = 'WorkerEnded'
}

interface Job {
  resolve(output: unknown): void
  reject(error: Error): void
}

/** How the children's Node is started. */
export const EXEC_ARGV = [
  '--conditions=@fp/source',
  '--disable-warning=ExperimentalWarning',
  // A validation makes many small objects: with the usual 16 MB for the young ones it cleans up most of the time.
  '--max-semi-space-size=32',
  // The optimising compiler takes several times the work of a validation for ruff's 11 MB, beside it and on the same cores.
  '--liftoff-only',
] as const

/** One child process, which does one job at a time. */
export class Worker {
  readonly #child: ChildProcess
  #job: Job | undefined
  #ended: Error | undefined
  #lastId = 0

  constructor({ script = new URL('./child.ts', import.meta.url) }: { script?: URL | undefined } = {}) {
    const child = fork(fileURLToPath(script), [], {
      execArgv: [...EXEC_ARGV],
      // User code passes through here; nothing of the platform's environment need.
      env: { NODE_COMPILE_CACHE: getCompileCacheDir() ?? '' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Copies long strings as they are; JSON would escape half a megabyte on the front door's event loop.
      serialization: 'advanced',
    })
    this.#child = child
    child.on('message', (result: ResultMessage) => {
      if (result.id !== this.#lastId) return
      if (result.ok) this.#job?.resolve(result.output)
      else this.#job?.reject(new Error(result.message))
    })
    child.on('error', (error) => this.#end(new WorkerEnded(`the process failed (${error.message})`)))
    child.on('exit', (code, signal) =>
      this.#end(new WorkerEnded(`the process ended (${signal ?? `exit code ${code}`})`)),
    )
  }

  get alive(): boolean {
    return this.#ended === undefined
  }

  /** Rejects with JobTimeout after `timeout` ms (the process is killed then), WorkerEnded, or what the job threw. */
  async do(job: JobName, input: unknown, timeout: number): Promise<unknown> {
    if (this.#ended) throw this.#ended
    const timer = setTimeout(
      () => this.kill(new JobTimeout(`${job} took longer than ${timeout / 1000} s`)),
      timeout,
    )
    try {
      return await new Promise((resolve, reject) => {
        this.#job = { resolve, reject }
        const message = { id: ++this.#lastId, job, input } as JobMessage
        this.#child.send(message, (error) => error && this.#end(new WorkerEnded(error.message)))
      })
    } finally {
      clearTimeout(timer)
      this.#job = undefined
    }
  }

  /** For one that has nothing to do. It ends by itself, and keeps what Node compiled for the next one. */
  end(): void {
    this.#ended ??= new WorkerEnded('the process had nothing to do')
    this.#child.disconnect()
  }

  /** The job it does is rejected with the reason. */
  kill(reason: Error): void {
    this.#child.kill('SIGKILL')
    this.#end(reason)
  }

  #end(reason: Error): void {
    this.#ended ??= reason
    this.#job?.reject(reason)
  }
}
