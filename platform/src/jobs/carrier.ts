import type { Clock, FairQueue, Turn } from '@fp/scaler'
import { pause } from '../pause.ts'
import type { Log } from '../logger.ts'
import type { Signals } from './signals.ts'
import type { JobStore } from './store.ts'
import { JobCancelled, StaleAttempt, type Job, type JobHandler } from './types.ts'

/** How long to wait for a change of other jobs before the store is read again, in ms. */
export const LOOK = 15_000
/** Delay after a failure of MongoDB, in ms. */
const RETRY = 1_000
const FIRST_BACKOFF = 1_000
const LAST_BACKOFF = 5 * 60_000
const WEEK = 7 * 24 * 3_600_000

export interface Kind {
  readonly handler: JobHandler<unknown>
  /** Owners take turns. */
  readonly turns: FairQueue
}

export interface CarrierDeps {
  readonly store: JobStore
  readonly signals: Signals
  readonly clock: Clock
  /** Aborts when this process stops to work on jobs. */
  readonly closing: AbortSignal
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** A job that this process holds. */
export interface Carried {
  readonly job: Job
  /** It waits for its `runAt`. */
  readonly asleep: boolean
  readonly done: Promise<void>
  /** Resolves once a step has failed, which is repeated, or the job is done here. */
  readonly tried: Promise<void>
  /** It ends without another attempt. */
  readonly over: boolean
  cancel(): void
}

interface Entry extends Carried {
  job: Job
  asleep: boolean
  readonly kind: Kind
  readonly cancelled: AbortSignal
  readonly wasTried: () => void
  /** The turn of the first attempt, if the job was stored as running. */
  turn: Turn | undefined
  /** Aborts when this process closes, or when another process may take the job over. */
  readonly given: AbortSignal
  /** `given`, or the job is cancelled. */
  readonly stop: AbortSignal
}

export const nameOf = ({ kind, key }: { kind: string; key: string }): string => `${kind} ${key}`

/** Runs the attempts of this process's jobs, one step after the other. */
export function createCarrier({ store, signals, clock, closing, log }: CarrierDeps) {
  const carried = new Map<string, Entry>()

  /**
   * Stores a new job of this process. If no other job goes first, one write stores the job as running, and its turn is returned
   * for `take`.
   */
  async function insert(job: Job, kind: Kind): Promise<{ job: Job; turn?: Turn }> {
    const { perKey = 1 } = kind.handler
    const isDue = job.runAt.getTime() <= clock.wall()
    const turn = isDue && !hasOlder(job, perKey) ? kind.turns.tryEnter(job.owner) : undefined
    try {
      const running: Job = { ...job, state: 'running', attempt: 1 }
      if (turn && (await store.mayBegin(job, perKey)) && (await store.insertRunning(running)))
        return { job: running, turn }
      await store.insert(job)
    } catch (error) {
      turn?.release()
      throw error
    }
    turn?.release()
    return { job }
  }

  /**
   * `lost` aborts when others may take the job over. `orphan`: the job belonged to a process that has ended. `turn`: the job was
   * stored as running.
   */
  function take(
    job: Job,
    kind: Kind,
    { lost, orphan, turn }: { lost: AbortSignal; orphan: boolean; turn?: Turn | undefined },
  ): void {
    const cancel = new AbortController()
    const given = AbortSignal.any([closing, lost])
    const { promise, resolve } = Promise.withResolvers<void>()
    const tried = Promise.withResolvers<void>()
    const entry: Entry = {
      job,
      kind,
      given,
      cancelled: cancel.signal,
      stop: AbortSignal.any([cancel.signal, given]),
      asleep: false,
      over:
        !turn &&
        ((orphan && kind.handler.endsWithProcess === true) || job.attempt >= (kind.handler.attempts ?? 1)),
      turn,
      done: promise,
      tried: tried.promise,
      wasTried: tried.resolve,
      cancel: () => cancel.abort(new JobCancelled()),
    }
    carried.set(job.id, entry)
    if (job.cancelled) entry.cancel()
    void carry(entry).finally(() => {
      carried.delete(job.id)
      signals.fire(nameOf(job))
      entry.wasTried()
      resolve()
    })
  }

  async function carry(entry: Entry): Promise<void> {
    const { given, stop, cancelled, kind } = entry
    const { id, member } = entry.job
    const held = (error: unknown): void =>
      log.warn({ err: error, job: id, kind: entry.job.kind }, 'a job could not continue; trying again')
    for (let next: Job | undefined = entry.job; next;) {
      entry.job = next
      try {
        next = await step(entry)
      } catch (error) {
        entry.wasTried()
        if (given.aborted) {
          const ends = kind.handler.endsWithProcess && closing.aborted && entry.job.state === 'waiting'
          if (ends) await endWithout(entry, 'stopped').catch((late: unknown) => held(late))
          return
        }
        // A wait that was ended by the cancellation is not a failure.
        if (!(cancelled.aborted && error === cancelled.reason)) {
          held(error)
          await pause(clock, RETRY, cancelled.aborted ? given : stop)
        }
        next = await store.find(id).catch(() => entry.job)
        if (next?.finishedAt || next?.member !== member) return
      }
    }
  }

  /** Resolves to the job to go on with, or to undefined when it has ended or belongs to another process. */
  async function step(entry: Entry): Promise<Job | undefined> {
    const { job, kind, stop } = entry
    const { handler } = kind
    using begun = entry.turn
    entry.turn = undefined
    const { attempts = 1, perKey = 1 } = handler
    if (entry.cancelled.aborted || job.cancelled) return endWithout(entry, 'cancelled')
    if (begun) return await attempt(entry)
    // A waiting job that this process finds running was claimed by a write whose result was lost.
    const isClaimed = job.state === 'running'
    if (entry.over || (!isClaimed && job.attempt >= attempts)) return endWithout(entry, 'abandoned')
    const early = job.runAt.getTime() - clock.wall()
    if (early > 0) await sleep(entry, early)
    await turnOfKey(job, perKey, stop)
    using _turn = await kind.turns.enter(job.owner, { signal: stop })
    const claimed = isClaimed ? job : await store.claim(job, perKey)
    if (claimed) {
      entry.job = claimed
      // Awaited here, so that the turn lasts as long as the attempt.
      return await attempt(entry)
    }
    const now = await store.find(job.id)
    return now?.member === job.member && !now.finishedAt ? now : undefined
  }

  async function endWithout(
    { job, kind }: Entry,
    as: 'cancelled' | 'abandoned' | 'stopped',
  ): Promise<undefined> {
    await kind.handler.ended?.(job, as)
    await store.end(job, as, { error: job.error, retention: kind.handler.retention ?? WEEK })
    log.info({ job: job.id, kind: job.kind, key: job.key }, `a job was ${as}`)
  }

  async function sleep(entry: Entry, ms: number): Promise<void> {
    entry.asleep = true
    signals.fire(nameOf(entry.job))
    await pause(clock, ms, entry.stop)
    entry.asleep = false
    entry.stop.throwIfAborted()
  }

  /** Waits for the older jobs of the key, in any process. */
  async function turnOfKey(job: Job, perKey: number, stop: AbortSignal): Promise<void> {
    using changes = signals.watch(nameOf(job))
    for (;;) {
      // The jobs of this process are known without a read.
      if (!hasOlder(job, perKey) && (await store.mayBegin(job, perKey))) return
      await changes.next(stop, LOOK)
    }
  }

  /** Whether this process has so many jobs that go before this one. */
  function hasOlder(job: Job, perKey: number): boolean {
    const older = [...carried.values()].filter(
      ({ job: other, asleep }) =>
        nameOf(other) === nameOf(job) && other.order < job.order && (!asleep || other.attempt > 0),
    )
    return older.length >= perKey
  }

  async function attempt(entry: Entry): Promise<Job | undefined> {
    const { job, kind, stop: signal, cancelled, given } = entry
    const { attempts = 1, retention = WEEK, backoff = doubled } = kind.handler
    const fence = job.attempt
    let failure: Error | undefined
    try {
      await kind.handler.run(job, {
        signal,
        fence,
        async progress(value) {
          if (!(await store.progress(job.id, fence, value))) throw new StaleAttempt(job.id, fence)
        },
      })
    } catch (error) {
      failure = error as Error
    }
    if (failure && !cancelled.aborted) {
      // Another process continues the job: it gets the job when this process closes, or takes it over when this one is dead.
      if (given.aborted && closing.aborted && kind.handler.endsWithProcess)
        return endWithout(entry, 'stopped')
      if (given.aborted || failure instanceof StaleAttempt) return undefined
      log.warn({ err: failure, job: job.id, kind: job.kind, attempt: fence }, 'an attempt at a job failed')
      const { message } = failure
      if (fence < attempts) {
        const runAt = new Date(clock.wall() + backoff(fence))
        return persist(given, () => store.retry(job.id, fence, runAt, message))
      }
    }
    const as = cancelled.aborted ? 'cancelled' : failure ? 'failed' : 'done'
    await persist(given, async () => {
      if (as === 'failed') await kind.handler.ended?.(job, as)
      return store.end(job, as, { error: failure?.message ?? null, retention })
    })
    return undefined
  }

  /** Repeats a write until it succeeds, so that no attempt is repeated because MongoDB did not answer for a moment. */
  async function persist<T>(given: AbortSignal, write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (given.aborted) throw error
        log.warn({ err: error }, 'the end of a job could not be stored; trying again')
        await pause(clock, RETRY, given)
      }
    }
  }

  return { carried: carried as ReadonlyMap<string, Carried>, insert, take }
}

function doubled(attempt: number): number {
  return Math.min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** (attempt - 1))
}
