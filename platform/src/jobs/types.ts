/** `abandoned`: the job was lost when its process died. `stopped`: it ended because its process closed. */
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'abandoned' | 'stopped'

export interface Job<P = unknown> {
  readonly id: string
  readonly kind: string
  /** Jobs of one kind and key begin by their `order`. */
  readonly key: string
  /** The user whose turn the job takes. */
  readonly owner: string
  readonly payload: P
  readonly state: JobState
  /** Smaller first. Grows with each job of the installation; a deployment has the number among those of its app instead. */
  readonly order: number
  /** How many attempts were begun. Each write of an attempt names this number, so that a stale holder's write is refused. */
  readonly attempt: number
  /** The process that runs the job or is to run it; null: any process may take it. */
  readonly member: string | null
  /** The job does not run before this time. */
  readonly runAt: Date
  readonly progress: unknown
  /** Why the last attempt failed. */
  readonly error: string | null
  /** The job must end as soon as possible. */
  readonly cancelled: boolean
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

export interface Attempt {
  /** Aborts when the job is cancelled, this process shuts down, or others may take the job over. */
  readonly signal: AbortSignal
  /** The number of this attempt. Writes to other documents that name it can be refused once a later attempt has written. */
  readonly fence: number
  /** Stores the job's progress. Rejects with StaleAttempt when the attempt is no longer the current one. */
  progress(value: unknown): Promise<void>
}

/** How jobs of one kind are done. Durations in ms. */
export interface JobHandler<P> {
  /**
   * Runs one attempt. If it resolves, the job is done. If it rejects, the job is tried again or has failed. If it rejects after
   * `signal` was aborted for another reason than a cancellation, another process continues the job.
   */
  run(job: Job<P>, attempt: Attempt): Promise<void>
  /**
   * Called when the job ends outside of an attempt. `stopped`: this process closes, and the job ends with it. May be called
   * more than once. Default: nothing.
   */
  ended?(job: Job<P>, as: 'abandoned' | 'cancelled' | 'failed' | 'stopped'): Promise<void>
  /** The job ends with the process that accepted it, begun or not: for work that is unwanted later. Default: false. */
  readonly endsWithProcess?: boolean
  /** How many attempts there are, including those that were lost with their process. Default: 1. */
  readonly attempts?: number
  /** The delay between a failed attempt and the next. Default: 1 s, doubled each time, at most 5 minutes. */
  backoff?(attempt: number): number
  /** How many jobs of one key may run at once. Default: 1. */
  readonly perKey?: number
  readonly limits: JobLimits
  /** A job that has ended is kept for this long. Default: a week. */
  readonly retention?: number
}

/** Limits of one process. */
export interface JobLimits {
  /** The name of the jobs in error messages: `deployments`. */
  readonly work: string
  /** How many jobs run at the same time. Users take turns. */
  readonly atOnce: number
  readonly atOncePerOwner: number
  /** How many jobs may be open. One more is refused with FP_QUEUE_FULL. */
  readonly most: number
  readonly mostPerOwner: number
}

export interface NewJob<P> {
  /** Default: a new id. */
  readonly id?: string
  readonly key: string
  readonly owner: string
  readonly payload: P
  readonly runAt?: Date
  /** The job's place among the jobs of the key. Default: after all that were accepted before. */
  readonly order?: number
}

/** Thrown when the job was taken over by another process or has ended. */
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
