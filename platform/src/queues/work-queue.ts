import { FairQueue, QueueFull, type EnterQueueOptions, type FairQueueLimits, type Turn } from '@fp/scaler'
import { FpError } from '../errors.ts'

export interface WorkQueueOptions extends FairQueueLimits {
  /** Names its limits in errors: `validations` makes `validations_waiting` and `validations_waiting_per_account`. */
  readonly name: string
  /** What waits, in the words of an error: `checks of code`. */
  readonly work: string
  /** Whom a key stands for. */
  readonly per: 'account' | 'address'
}

/** Seconds after which a refused caller is told to try again. */
const RETRY_AFTER = 2

/** A fair queue whose refusals are answers of the API: 503 with Retry-After, naming the limit. */
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

/** The refusal of one more, where `most` of a key (or in total) wait already. */
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
