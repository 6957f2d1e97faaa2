import { FairQueue, systemClock, type Clock } from '@fp/scaler'
import type { Db } from 'mongodb'
import type { Membership } from '../coordination/membership.ts'
import { newId } from '../ids.ts'
import { repeat, type Repetition } from '../repeat.ts'
import { queueFull } from '../queues/work-queue.ts'
import { createCarrier, LOOK, nameOf, type CarrierDeps, type Kind } from './carrier.ts'
import { followJobs } from './changes.ts'
import { Signals } from './signals.ts'
import { JobStore } from './store.ts'
import { QueueClosed, type Job, type JobHandler, type NewJob } from './types.ts'

export interface JobQueueDeps {
  readonly db: Db
  /** Knows which processes are dead, so that their jobs are taken over. */
  readonly members: Membership
  readonly log: CarrierDeps['log']
  readonly clock?: Clock
}

/** Durable jobs: an accepted job is done even if a process dies. See docs/decisions/0037. */
export interface JobQueue {
  /** Registers the handler of a kind of jobs. Call it before `recover`. */
  handle<P>(kind: string, handler: JobHandler<P>): void
  /**
   * Takes over the jobs of dead processes and those that nobody holds, now and at intervals. Resolves once the handlers of
   * jobs that end without another attempt were called.
   */
  recover(): Promise<void>
  /**
   * Accepts a job. This process runs it if it handles the kind; others do if this one dies. Rejects with FP_QUEUE_FULL, and
   * after `close` with QueueClosed.
   */
  enqueue<P>(kind: string, job: NewJob<P>): Promise<Job<P>>
  /** Cancels every job of the key in any process. Waiting jobs end; running ones get their signal aborted. */
  cancel(kind: string, key: string): Promise<void>
  /** Resolves once no job of the key is open in any process. Rejects when the signal aborts. */
  settled(kind: string, key: string, signal: AbortSignal): Promise<void>
  /** Returns those of these jobs that have not ended. */
  open(ids: readonly string[]): Promise<Job[]>
  /** Throws what `enqueue` would reject with now: FP_QUEUE_FULL, QueueClosed. */
  refuseIfFull(kind: string, owner: string): void
  /** Resolves once this process has no job that is due. */
  idle(): Promise<void>
  /** Accepts no more jobs, ends running attempts, and leaves the remaining jobs to the other processes. */
  close(): Promise<void>
}

export async function createJobQueue(deps: JobQueueDeps): Promise<JobQueue> {
  const { db, members, log, clock = systemClock } = deps
  const store = new JobStore(db, clock)
  await store.createIndexes()
  const kinds = new Map<string, Kind>()
  const signals = new Signals()
  const closing = new AbortController()
  const carrier = createCarrier({ store, signals, clock, closing: closing.signal, log })
  const { carried } = carrier
  /** Jobs that are accepted and are being stored. */
  const accepting = new Map<string, { kind: string; owner: string }>()
  let looking: Repetition | undefined

  /** Takes over jobs that nobody or a dead process holds, and notices cancellations that were missed. */
  async function look(): Promise<void> {
    const { id, lost } = members
    const given = AbortSignal.any([lost, closing.signal])
    if (given.aborted) return
    const handled = [...kinds.keys()]
    for (const { id: jobId, cancelled } of await store.heldBy([id], handled)) {
      const known = carried.get(jobId)
      if (cancelled) known?.cancel()
      // Left over from a failure of MongoDB. Read again, as it may have ended since.
      if (!known && !accepting.has(jobId)) await adopt(await store.find(jobId))
    }
    if (!looking) return
    const holders = (await store.holders(handled)).filter((holder) => holder !== id)
    // Read after the holders: a process that has joined since then holds none of these jobs.
    const living = holders.length > 0 ? await members.living() : new Set()
    const dead = holders.filter((holder) => holder === null || !living.has(holder))
    for (const job of dead.length > 0 ? await store.heldBy(dead, handled) : []) await adopt(job)

    async function adopt(job: Job | undefined): Promise<void> {
      // A job that this process still runs, from before it was lost, must not be run a second time.
      if (!job || job.finishedAt || carried.has(job.id) || given.aborted) return
      const adopted = await store.adopt(job, id)
      if (!adopted) return
      log.info({ job: job.id, kind: job.kind, key: job.key }, 'took over a job without a living process')
      // `lost` belongs to `id`: this process may have been lost and have joined again during the write.
      const orphan = job.member !== null && job.member !== id
      carrier.take(adopted, kinds.get(job.kind)!, { lost, orphan })
    }
  }

  /** Runs one look after the other. A look that is requested during another one follows it. */
  let latest: Promise<void> = Promise.resolve()
  let asked = false
  function lookSoon(): Promise<void> {
    if (asked) return latest
    asked = true
    latest = latest
      .then(() => {
        asked = false
        return look()
      })
      .catch((error: unknown) => log.warn({ err: error }, 'jobs could not be looked for; trying again'))
    return latest
  }

  function refuseIfFull(kind: string, owner: string): void {
    closing.signal.throwIfAborted()
    const handler = kinds.get(kind)?.handler
    if (!handler) return
    const { work, most, mostPerOwner } = handler.limits
    const jobs = [...[...carried.values()].map(({ job }) => job), ...accepting.values()]
    const all = jobs.filter((job) => job.kind === kind)
    const own = all.filter((job) => job.owner === owner)
    const names = { name: work.replaceAll(' ', '_'), work, per: 'account' } as const
    if (own.length >= mostPerOwner) throw queueFull(names, { limit: 'key', most: mostPerOwner })
    if (all.length >= most) throw queueFull(names, { limit: 'total', most })
  }

  const following = await followJobs(db, {
    onOpen() {
      signals.fireAll()
      void lookSoon()
    },
    onChange(change) {
      signals.fire(nameOf(change))
      const free = change.member === null && kinds.has(change.kind)
      if (change.open && (free || change.cancelled)) void lookSoon()
    },
    onError: (error) => log.warn({ err: error }, 'the change stream of jobs ended; opening it again'),
  })

  return {
    handle(kind, handler) {
      const { atOnce, atOncePerOwner: atOncePerKey } = handler.limits
      // The number of waiting jobs is limited when a job is accepted.
      const turns = new FairQueue({ atOnce, atOncePerKey, waiting: Infinity, waitingPerKey: Infinity })
      kinds.set(kind, { handler: handler as JobHandler<unknown>, turns })
    },

    async recover() {
      looking ??= repeat(async () => {
        await lookSoon()
        return LOOK
      }, LOOK)
      await lookSoon()
      await Promise.all([...carried.values()].filter(({ over }) => over).map(({ tried }) => tried))
    },

    async enqueue<P>(kind: string, { id = newId('j'), key, owner, payload, runAt, order }: NewJob<P>) {
      members.lost.throwIfAborted()
      refuseIfFull(kind, owner)
      accepting.set(id, { kind, owner })
      try {
        const now = new Date(clock.wall())
        const handled = kinds.get(kind)
        const job: Job<P> = {
          id,
          kind,
          key,
          owner,
          payload,
          state: 'waiting',
          order: order ?? (await store.nextOrder()),
          attempt: 0,
          member: handled ? members.id : null,
          runAt: runAt ?? now,
          progress: null,
          error: null,
          cancelled: false,
          createdAt: now,
          finishedAt: null,
        }
        if (!handled) {
          await store.insert(job)
          return job
        }
        const stored = await carrier.insert(job, handled)
        // Another member by now, this process has lost the job to the others.
        if (job.member === members.id)
          carrier.take(stored.job, handled, { lost: members.lost, orphan: false, turn: stored.turn })
        else stored.turn?.release()
        return stored.job as Job<P>
      } finally {
        accepting.delete(id)
      }
    },

    async cancel(kind, key) {
      await store.cancel(kind, key)
      for (const each of carried.values()) if (each.job.kind === kind && each.job.key === key) each.cancel()
    },

    async settled(kind, key, signal) {
      using changes = signals.watch(nameOf({ kind, key }))
      for (;;) {
        // Includes the jobs of dead processes.
        await lookSoon()
        if ((await store.countOpen(kind, key)) === 0) return
        await changes.next(signal, LOOK)
      }
    },

    open: (ids) => store.open(ids),
    refuseIfFull,

    async idle() {
      for (;;) {
        const busy = [...carried.values()].filter(({ asleep }) => !asleep)
        if (busy.length === 0 && accepting.size === 0) return
        using changes = signals.watch('')
        await changes.next(undefined, LOOK)
      }
    },

    async close() {
      if (closing.signal.aborted) return
      closing.abort(new QueueClosed())
      void looking?.end()
      await latest
      await Promise.all([...carried.values()].map(({ done }) => done))
      await following[Symbol.asyncDispose]()
      await store
        .release(members.id)
        .catch((error: unknown) => log.warn({ err: error }, 'the remaining jobs could not be released'))
    },
  }
}
