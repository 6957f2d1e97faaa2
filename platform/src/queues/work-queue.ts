import { FairQueue, QueueFull, type EnterQueueOptions, type FairQueueLimits, type Turn } from '@fp/scaler'
import { FpError } from '../errors.ts'

export interface WorkQueueOptions extends FairQueueLimits {
  /** Begins the limits' names in errors: `validations_waiting` and `validations_waiting_per_account` with `validations`. */
  readonly name: string
  /** The name of the waiting work in error messages: `checks of code`. */
  readonly work: string
  /** What a key stands for. */
  readonly per: 'account' | 'address'
}

/** Seconds after which a refused caller should try again. */
const RETRY_AFTER = 2

/** A fair queue whose refusals are FpErrors: FP_QUEUE_FULL with Retry-After and the name of the limit. */
export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #queue: FairQueue

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#queue = new FairQueue(options)
  }

  /** Runs the task in its turn. Rejects with FP_QUEUE_FULL, the signal's reason while it waits, or what the task throws. */
  async run<T>(key: string, task: () => Promise<T>, options: EnterQueueOptions = {}): Promise<T> {
    using _turn = await this.enter(key, options)
    return await task()
  }

  /** Waits for a turn, which the caller releases. Rejects like `run`. */
  async enter(key: string, options: EnterQueueOptions = {}): Promise<Turn> {
    try {
      return await this.#queue.enter(key, options)
    } catch (error) {
      throw error instanceof QueueFull ? queueFull(this.#options, error) : error
    }
  }
}

/** The error for one more when `most` of a key, or in total, wait already. */
export function queueFull(
  { name, work, per }: Pick<WorkQueueOptions, 'name' | 'work' | 'per'>,
  { limit: which, most }: Pick<QueueFull, 'limit' | 'most'>,
): FpError {
  const limit = which === 'key' ? `${name}_waiting_per_${per}` : `${name}_waiting`
  const owner = per === 'account' ? 'of one account ' : 'from your address '
  const message = `${most} ${work} ${which === 'key' ? owner : ''}are waiting, and no more may wait (limit ${limit}). Try again in ${RETRY_AFTER} s.`
  return new FpError('FP_QUEUE_FULL', message, {
    details: { limit, most },
    headers: { 'retry-after': String(RETRY_AFTER) },
  })
}
