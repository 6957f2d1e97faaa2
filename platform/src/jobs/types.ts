/** `abandoned`: it was lost with its process. `stopped`: it ended with its process, which closed. */
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'abandoned' | 'stopped'

export interface Job<P = unknown> {
  readonly id: string
  readonly kind: string
  /** Jobs of one kind and key run in the order in which they were enqueued. */
  readonly key: string
  /** The user whose turn it takes. */
  readonly owner: string
  readonly payload: P
  readonly state: JobState
  /** Grows with each job of the installation. */
  readonly order: number
  /** Attempts that were begun. Each write of an attempt names it, so that a stale holder's write is refused. */
  readonly attempt: number
  /** The process that runs the job or is to run it; null: any process may take it. */
  readonly member: string | null
  /** Not before this time. */
  readonly runAt: Date
  readonly progress: unknown
  /** Why the last attempt failed. */
  readonly error: string | null
  /** It is to end as soon as it can. */
  readonly cancelled: boolean
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

export interface Attempt {
  /** Fires when the job is cancelled, this process shuts down, or others may take the job over. */
  readonly signal: AbortSignal
  /** The number of this attempt. Writes to other documents that name it can be refused once a later attempt has written. */
  readonly fence: number
  /** Stores how far the job is. Rejects with StaleAttempt when the job is no longer this attempt's. */
  progress(value: unknown): Promise<void>
}

/** How jobs of one kind are done. Durations in ms. */
export interface JobHandler<P> {
  /**
   * One attempt. When it resolves the job is done. When it rejects the job is tried again or has failed; after `signal` has
   * fired for another reason than a cancellation, another process goes on with it.
   */
  run(job: Job<P>, attempt: Attempt): Promise<void>
  /**
   * The job ends without an attempt that could tell of it. `stopped`: this process closes, and the job ends with it. May be called
   * more than once. Default: nothing.
   */
  ended?(job: Job<P>, as: 'abandoned' | 'cancelled' | 'stopped'): Promise<void>
  /** The job ends when the process ends that accepted it, begun or not: for what nobody expects any more later. Default: false. */
  readonly endsWithProcess?: boolean
  /** Attempts in all, those included that were lost with their process. Default: 1. */
  readonly attempts?: number
  /** Between an attempt that failed and the next. Default: 1 s, doubled each time, at most 5 minutes. */
  backoff?(attempt: number): number
  /** Jobs of one key that run at once. Default: 1. */
  readonly perKey?: number
  readonly limits: JobLimits
  /** A job that has ended is kept for this long. Default: a week. */
  readonly retention?: number
}

/** Of one process. */
export interface JobLimits {
  /** What the jobs are, in the words of an error: `deployments`. */
  readonly work: string
  /** That run at the same time; users take turns. */
  readonly atOnce: number
  readonly atOncePerOwner: number
  /** Accepted and not ended. One more is refused with FP_QUEUE_FULL. */
  readonly most: number
  readonly mostPerOwner: number
}

export interface NewJob<P> {
  /** Default: a new one. */
  readonly id?: string
  readonly key: string
  readonly owner: string
  readonly payload: P
  readonly runAt?: Date
  /** Its place among the jobs of the key. Default: after all that were accepted before. */
  readonly order?: number
}

/** The job was taken over by another process, or has ended. */
export class StaleAttempt extends Error {
  override readonly name = 'StaleAttempt'
  constructor(id: string, attempt: number) {
    super(`Attempt ${attempt} of job ${id} is over: the job was taken over or has ended.`)
  }
}

/** The reason of an attempt's signal when somebody has cancelled its job. */
export class JobCancelled extends Error {
  override readonly name = 'JobCancelled'
  constructor() {
    super('The job was cancelled.')
  }
}

/** The reason of an attempt's signal when this process closes its queue. */
export class QueueClosed extends Error {
  override readonly name = 'QueueClosed'
  constructor() {
    super('The queue of jobs was closed.')
  }
}
