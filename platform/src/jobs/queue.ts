import { FairQueue, systemClock, type Clock, type Turn } from '@fp/scaler'
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
  /** Says whose jobs are to be taken over. */
  readonly members: Membership
  readonly log: CarrierDeps['log']
  readonly clock?: Clock
}

/** Durable jobs: once accepted they are done, whichever process dies. See docs/decisions/0037. */
export interface JobQueue {
  /** Says how jobs of a kind are done. Before `recover`. */
  handle<P>(kind: string, handler: JobHandler<P>): void
  /**
   * Takes over what dead processes have left, and goes on doing so. Resolves once those that are not to go on were told so. From the
   * first call on this process takes jobs that nobody has.
   */
  recover(): Promise<void>
  /**
   * Accepts a job. This process does it, if it handles the kind, and others if this one dies. Rejects with FP_QUEUE_FULL, and
   * after `close` with QueueClosed.
   */
  enqueue<P>(kind: string, job: NewJob<P>): Promise<Job<P>>
  /** Ends every job of the key, at whichever process: those that wait, and by their signal those that run. */
  cancel(kind: string, key: string): Promise<void>
  /** Resolves once no job of the key is open, at any process. Rejects when the signal fires. */
  settled(kind: string, key: string, signal: AbortSignal): Promise<void>
  /** Those of these jobs that have not ended. */
  open(ids: readonly string[]): Promise<Job[]>
  /** Throws what `enqueue` would reject with now: FP_QUEUE_FULL, QueueClosed. */
  refuseIfFull(kind: string, owner: string): void
  /** Resolves once this process has no job that is due. */
  idle(): Promise<void>
  /** Takes no more; ends what runs, and hands what is left to the other processes. */
  close(): Promise<void>
}

export async function createJobQueue(deps: JobQueueDeps): Promise<JobQueue> {
  const { db, members, log, clock = systemClock } = deps
  const store = new JobStore(db)
  await store.createIndexes()
  const kinds = new Map<string, Kind>()
  const signals = new Signals()
  const closing = new AbortController()
  const carrier = createCarrier({ store, signals, clock, closing: closing.signal, log })
  const { carried } = carrier
  /** Accepted, and on the way into the store. */
  const accepting = new Map<string, { kind: string; owner: string }>()
  let looking: Repetition | undefined

  function take(
    job: Job,
    { orphan = false, turn }: { orphan?: boolean; turn?: Turn | undefined } = {},
  ): void {
    carrier.take(job, kinds.get(job.kind)!, { lost: members.lost, orphan, turn })
  }

  /** Takes over what nobody has or what dead processes had, and hears of what was missed. */
  async function look(): Promise<void> {
    const { id, lost } = members
    const given = AbortSignal.any([lost, closing.signal])
    if (given.aborted) return
    const handled = [...kinds.keys()]
    for (const { id: jobId, cancelled } of await store.heldBy([id], handled)) {
      const known = carried.get(jobId)
      if (cancelled) known?.cancel()
      // Left over from a failure of MongoDB. Asked for again: it may have ended since.
      if (!known && !accepting.has(jobId)) await adopt(await store.find(jobId))
    }
    if (!looking) return
    const holders = (await store.holders(handled)).filter((holder) => holder !== id)
    // In this order: a process that has come since then holds none of those.
    const living = holders.length > 0 ? await members.living() : new Set()
    const dead = holders.filter((holder) => holder === null || !living.has(holder))
    for (const job of dead.length > 0 ? await store.heldBy(dead, handled) : []) await adopt(job)

    async function adopt(job: Job | undefined): Promise<void> {
      // One that this process still has, from before it was lost, is not begun again beside it.
      if (!job || job.finishedAt || carried.has(job.id) || given.aborted) return
      const adopted = await store.adopt(job, id)
      if (!adopted) return
      log.info({ job: job.id, kind: job.kind, key: job.key }, 'took over a job that nobody had')
      take(adopted, { orphan: job.member !== null && job.member !== id })
    }
  }

  /** One look after the other. One that was asked for during another follows it. */
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
      // What may wait is bounded when it is accepted.
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
        if (job.member === members.id) take(stored.job, stored)
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
        // Those of dead processes too.
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
        .catch((error: unknown) => log.warn({ err: error }, 'jobs could not be handed over; they wait'))
    },
  }
}
