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
  // A validation makes many small objects. With the default of 16 MB for new objects, most of the time is garbage collection.
  '--max-semi-space-size=32',
  // The optimizing compiler would spend several times the work of a validation on ruff's 11 MB, on the same cores.
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
      // The process handles code of users and does not need the platform's environment.
      env: { NODE_COMPILE_CACHE: getCompileCacheDir() ?? '' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Copies long strings as they are. JSON would escape half a megabyte on the API's event loop.
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

  /** Ends an idle process. It exits by itself, which saves Node's compile cache for the next one. */
  end(): void {
    this.#ended ??= new WorkerEnded('the process had nothing to do')
    this.#child.disconnect()
  }

  /** Kills the process. Its job is rejected with the reason. */
  kill(reason: Error): void {
    this.#child.kill('SIGKILL')
    this.#end(reason)
  }

  #end(reason: Error): void {
    this.#ended ??= reason
    this.#job?.reject(reason)
  }
}
