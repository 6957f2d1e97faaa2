import { fork, type ChildProcess } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import PQueue from 'p-queue'
import { FpError } from '../errors.ts'
import type { JobName, Jobs, ResultMessage } from './protocol.ts'

export interface LaneOptions {
  /** Jobs at once. */
  readonly concurrency: number
  /** Jobs that may wait. */
  readonly depth: number
  /** A job that takes longer is given up and the process replaced: it may hang in WebAssembly for good. Milliseconds. */
  readonly timeout: number
  /** For tests; the default is the real child. */
  readonly script?: URL
}

interface Running {
  resolve(output: unknown): void
  reject(error: Error): void
}

/** The work was not done in time. */
export class JobTimeout extends Error {
  override readonly name = 'JobTimeout'
}

/** One child process and the queue before it. The process starts with the first job and again after it ended. */
export class Lane {
  readonly #options: LaneOptions
  readonly #queue: PQueue
  readonly #running = new Map<number, Running>()
  #child: ChildProcess | undefined
  #lastId = 0
  #closed = false

  constructor(options: LaneOptions) {
    this.#options = options
    this.#queue = new PQueue({ concurrency: options.concurrency })
  }

  /** Rejects with FP_UNAVAILABLE when the queue is full or closed, JobTimeout, the signal's reason, or what the job threw. */
  async run<N extends JobName>(
    job: N,
    input: Jobs[N]['input'],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Jobs[N]['output']> {
    const { signal } = options
    signal?.throwIfAborted()
    if (this.#queue.size >= this.#options.depth) {
      throw new FpError('FP_UNAVAILABLE', 'The platform is busy. Try again in a few seconds.', {
        headers: { 'retry-after': '2' },
      })
    }
    // The signal takes a waiting job out of the queue; one that runs is finished, as its process cannot be told to stop.
    const work = async (): Promise<unknown> => {
      // Parsing the request was one long step and handing it over is another: others get their turn between them.
      await setImmediate()
      if (this.#closed) throw stopping()
      return this.#send(job, input)
    }
    const output = await this.#queue.add(work, signal ? { signal } : {})
    return output as Jobs[N]['output']
  }

  /** Waiting and running jobs are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    this.#queue.clear()
    this.#replace(stopping())
  }

  #send(job: JobName, input: unknown): Promise<unknown> {
    const id = ++this.#lastId
    const child = this.#ensureChild()
    const { timeout } = this.#options
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#running.delete(id)
        reject(new JobTimeout(`${job} took longer than ${timeout / 1000} s`))
        if (this.#child === child)
          this.#replace(new Error('the process was replaced because another job hung'))
      }, timeout)
      const settle = (): void => clearTimeout(timer)
      this.#running.set(id, {
        resolve: (output) => (settle(), resolve(output)),
        reject: (error) => (settle(), reject(error)),
      })
      child.send({ id, job, input }, (error) => {
        if (error) this.#finish(id, (running) => running.reject(error))
      })
    })
  }

  #ensureChild(): ChildProcess {
    if (this.#child) return this.#child
    const child = fork(fileURLToPath(this.#options.script ?? new URL('./child.ts', import.meta.url)), [], {
      execArgv: ['--conditions=@fp/source', '--disable-warning=ExperimentalWarning'],
      // User code passes through here; nothing of the platform's environment need.
      env: { NODE_COMPILE_CACHE: getCompileCacheDir() ?? '' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Copies long strings as they are; JSON would escape half a megabyte on the front door's event loop.
      serialization: 'advanced',
    })
    this.#child = child
    child.on('message', (result: ResultMessage) => {
      this.#finish(result.id, (running) =>
        result.ok ? running.resolve(result.output) : running.reject(new Error(result.message)),
      )
    })
    child.on('error', () => undefined)
    child.on('exit', (code, signal) => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#rejectAll(new Error(`the process ended (${signal ?? `exit code ${code}`})`))
    })
    return child
  }

  #finish(id: number, end: (running: Running) => void): void {
    const running = this.#running.get(id)
    this.#running.delete(id)
    if (running) end(running)
  }

  #replace(reason: Error): void {
    const child = this.#child
    this.#child = undefined
    child?.kill('SIGKILL')
    this.#rejectAll(reason)
  }

  #rejectAll(reason: Error): void {
    for (const id of [...this.#running.keys()]) this.#finish(id, (running) => running.reject(reason))
  }
}

const stopping = (): FpError => new FpError('FP_UNAVAILABLE', 'The platform is stopping.')
