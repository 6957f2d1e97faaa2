import PQueue from 'p-queue'
import { setImmediate } from 'node:timers/promises'
import { FpError } from '../errors.ts'
import type { JobName, Jobs } from './protocol.ts'
import { Worker, WorkerEnded } from './worker.ts'

export interface WorkersOptions {
  /** Processes, and so jobs at once. Each starts when there is work for it. */
  readonly processes: number
  /** A job that takes longer is given up and its process killed: it may hang in WebAssembly for good. Milliseconds. */
  readonly timeout: number
  /** Without work for this long the processes end; the next job starts one. Milliseconds. */
  readonly idleTimeout: number
  /** For tests; the default is the real child. */
  readonly script?: URL | undefined
}

/**
 * A few processes that do one job at a time each, so that a job that hangs or crashes takes no other with it. A job whose
 * process ended is done again, once: the process may have been killed for a reason that is not the job's.
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
    // The signal takes a waiting job out of the queue; one that runs is finished, as its process cannot be told to stop.
    const output = this.#queue.add(() => this.#do(job, input, true), signal ? { signal } : {})
    return (await output) as Jobs[N]['output']
  }

  /** Has a process ready for a job that is likely to come: starts one with `job` where there is none. Never rejects. */
  async warm<N extends JobName>(job: N, input: Jobs[N]['input']): Promise<void> {
    this.#waitForIdle()
    if (this.#busy.size > 0 || this.#idle.some((worker) => worker.alive)) return
    await this.run(job, input).catch(() => undefined)
  }

  /** Waiting and running jobs are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idleTimer)
    for (const worker of [...this.#idle, ...this.#busy]) worker.kill(stopping())
  }

  /** One that still runs: a process may end while it has nothing to do. */
  #takeIdle(): Worker | undefined {
    for (let worker = this.#idle.pop(); worker; worker = this.#idle.pop()) if (worker.alive) return worker
    return undefined
  }

  /** Each has memory of its own, a validator 70 MiB: none keeps it for nothing. */
  #waitForIdle(): void {
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => {
      for (const worker of this.#idle.splice(0)) worker.end()
    }, this.#options.idleTimeout).unref()
  }

  async #do(job: JobName, input: unknown, again: boolean): Promise<unknown> {
    // Parsing the request was one long step and handing it over is another: others get their turn between them.
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
