import PQueue from 'p-queue'
import { setImmediate } from 'node:timers/promises'
import { FpError } from '../errors.ts'
import type { JobName, Jobs } from './protocol.ts'
import { Worker, WorkerEnded } from './worker.ts'

export interface WorkersOptions {
  /** The number of processes, and so of concurrent jobs. Each process starts when there is work for it. */
  readonly processes: number
  /** In ms. If a job takes longer, its process is killed, as it may hang in WebAssembly for ever. */
  readonly timeout: number
  /** In ms. Processes without work for this long end. The next job starts a new one. */
  readonly idleTimeout: number
  /** For tests; the default is the real child. */
  readonly script?: URL | undefined
}

/**
 * A few processes that do one job at a time each, so that a job that hangs or crashes does not affect others. If its process
 * ends, a job is repeated once, as the process may have been killed for another reason.
 */
export class Workers {
  readonly #options: WorkersOptions
  readonly #queue: PQueue
  readonly #idle: Worker[] = []
  readonly #busy = new Set<Worker>()
  #idleTimer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#queue = new PQueue({ concurrency: options.processes })
  }

  /** Rejects with JobTimeout, WorkerEnded, FP_UNAVAILABLE once closed, the signal's reason, or what the job threw. */
  async run<N extends JobName>(
    job: N,
    input: Jobs[N]['input'],
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Jobs[N]['output']> {
    signal?.throwIfAborted()
    // The signal removes a waiting job from the queue. A running one is completed, as its process cannot be interrupted.
    const output = this.#queue.add(() => this.#do(job, input, true), signal ? { signal } : {})
    return (await output) as Jobs[N]['output']
  }

  /** Makes sure that a process is ready for a likely job: starts one with `job` if there is none. Never rejects. */
  async warm<N extends JobName>(job: N, input: Jobs[N]['input']): Promise<void> {
    this.#waitForIdle()
    if (this.#busy.size > 0 || this.#idle.some((worker) => worker.alive)) return
    await this.run(job, input).catch(() => undefined)
  }

  /** Rejects waiting and running jobs. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idleTimer)
    for (const worker of [...this.#idle, ...this.#busy]) worker.kill(stopping())
  }

  /** An idle process that is alive: one may have ended while it was idle. */
  #takeIdle(): Worker | undefined {
    for (let worker = this.#idle.pop(); worker; worker = this.#idle.pop()) if (worker.alive) return worker
    return undefined
  }

  /** Ends idle processes after a while, as a validator takes 70 MiB of memory. */
  #waitForIdle(): void {
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => {
      for (const worker of this.#idle.splice(0)) worker.end()
    }, this.#options.idleTimeout).unref()
  }

  async #do(job: JobName, input: unknown, again: boolean): Promise<unknown> {
    // Parsing the request and sending it to the process are two long steps. Other work can run between them.
    await setImmediate()
    if (this.#closed) throw stopping()
    const worker = this.#takeIdle() ?? new Worker({ script: this.#options.script })
    this.#busy.add(worker)
    try {
      return await worker.do(job, input, this.#options.timeout)
    } catch (error) {
      if (error instanceof WorkerEnded && again && !this.#closed) return await this.#do(job, input, false)
      throw error
    } finally {
      this.#busy.delete(worker)
      if (worker.alive) this.#idle.push(worker)
      if (!this.#closed) this.#waitForIdle()
    }
  }
}

function stopping(): FpError {
  return new FpError('FP_UNAVAILABLE', 'The platform is stopping.')
}
