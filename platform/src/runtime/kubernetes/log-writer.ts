import type { Clock } from '@fp/scaler'
import type { PodLine, LogStore } from './log-store.ts'

/** Lines are kept in batches: as many as came meanwhile, at most so many, at most so late (ms). */
const BATCH = 200
const BATCH_TIME = 200

/** Keeps the lines of one log in their start request. After one that could not be kept it keeps none: from there it is read again. */
export class LogWriter {
  /** The stamp of the last line that was kept. */
  last: string | undefined
  readonly #logs: Pick<LogStore, 'append'>
  readonly #clock: Clock
  readonly #onFailure: (error: Error) => void
  #batch: PodLine[] = []
  #writing = Promise.resolve()
  #cancel: (() => void) | undefined
  #failed = false

  /** `last`: what was kept before. `onFailure` is told at once: an app may be silent for long. */
  constructor(options: {
    logs: Pick<LogStore, 'append'>
    clock: Clock
    last: string | undefined
    onFailure: (error: Error) => void
  }) {
    this.#logs = options.logs
    this.#clock = options.clock
    this.last = options.last
    this.#onFailure = options.onFailure
  }

  /** Reading waits for writing: an app that prints without end is slowed by its own log's limits, not by memory. */
  async add(line: PodLine): Promise<void> {
    this.#batch.push(line)
    if (this.#batch.length >= BATCH) await this.flush()
    else this.#cancel ??= this.#clock.schedule(BATCH_TIME, () => void this.flush())
  }

  flush(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const batch = this.#batch
    this.#batch = []
    this.#writing = this.#writing.then(() => this.#write(batch))
    return this.#writing
  }

  async #write(batch: readonly PodLine[]): Promise<void> {
    if (this.#failed || batch.length === 0) return
    try {
      await this.#logs.append(batch)
      this.last = batch.at(-1)!.stamp
    } catch (error) {
      this.#failed = true
      this.#onFailure(error as Error)
    }
  }
}
