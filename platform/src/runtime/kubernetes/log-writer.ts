import type { Clock } from '@fp/scaler'
import type { PodLine, LogStore } from './log-store.ts'

/** Lines are stored in batches: at most so many, and at most so late (ms). */
const BATCH = 200
const BATCH_TIME = 200

/** Stores the lines of one log in their order. After a failure it stores no more: the log is read again from there. */
export class LogWriter {
  /** The time of the last line that was stored. */
  last: string | undefined
  readonly #logs: Pick<LogStore, 'append'>
  readonly #clock: Clock
  readonly #onFailure: (error: Error) => void
  #batch: PodLine[] = []
  #writing = Promise.resolve()
  #cancel: (() => void) | undefined
  #failed = false

  /** `last`: the time of the last line that was stored before. `onFailure` is called at once: the next line may come late. */
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

  /** Waits for a write when a batch is full, so an app that prints without end fills no memory. */
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
