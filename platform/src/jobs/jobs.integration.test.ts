import { FakeClock } from '@fp/scaler/fake'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { testMongo } from '../../test/database.ts'
import { joinMembership, MEMBERS, type Membership } from '../coordination/membership.ts'
import type { Mongo } from '../plugins/mongo.ts'
import { createJobQueue, type JobQueue } from './queue.ts'
import { JOBS, type JobDoc } from './store.ts'
import type { Attempt, Job, JobHandler } from './types.ts'

const LIMITS = { work: 'test jobs', atOnce: 8, atOncePerOwner: 4, most: 50, mostPerOwner: 20 }

interface Run {
  readonly job: Job
  readonly attempt: Attempt
  readonly by: string
  done(): void
  fail(error: Error): void
}

/** A process with a queue. The test ends each attempt. */
interface Worker {
  readonly queue: JobQueue
  readonly members: Membership
  readonly clock: FakeClock
  /** Running attempts, in the order in which they began. */
  readonly runs: Run[]
  readonly ended: string[]
}

let mongo: Mongo & AsyncDisposable
let workers: Worker[] = []
const { signal: never } = new AbortController()

beforeEach(async () => {
  mongo = await testMongo()
})
afterEach(async () => {
  for (const { queue, runs } of workers) {
    const closed = queue.close()
    for (const run of runs) run.done()
    await closed
  }
  for (const { members } of workers) await members[Symbol.asyncDispose]()
  workers = []
  await mongo[Symbol.asyncDispose]()
})

async function worker(handler: Partial<JobHandler<unknown>> = {}, handles = true): Promise<Worker> {
  const members = await joinMembership(mongo.db, { role: 'platform', onError: () => undefined })
  const log = { info: () => undefined, warn: () => undefined }
  // The clock's time of day.
  const clock = new FakeClock(Date.now())
  const queue = await createJobQueue({ db: mongo.db, members, log, clock })
  const made: Worker = { queue, members, clock, runs: [], ended: [] }
  if (handles)
    queue.handle('test', {
      limits: LIMITS,
      run: (job, attempt) =>
        new Promise((resolve, reject) => {
          const run: Run = { job, attempt, by: members.id, done: resolve, fail: reject }
          made.runs.push(run)
          attempt.signal.addEventListener('abort', () => reject(attempt.signal.reason as Error))
        }),
      ended: async (job, as) => void made.ended.push(`${job.id} ${as}`),
      ...handler,
    })
  await queue.recover()
  workers.push(made)
  return made
}

const enqueue = (
  at: Worker,
  id: string,
  { key = 'key', owner = 'ann', runAt = undefined as Date | undefined } = {},
) => at.queue.enqueue('test', { id, key, owner, payload: { of: id }, ...(runAt && { runAt }) })

const doc = async (id: string): Promise<JobDoc> =>
  (await mongo.db.collection<JobDoc>(JOBS).findOne({ _id: id }))!
const state = async (id: string): Promise<string> => (await doc(id)).state
const ids = (of: Worker): string[] => of.runs.map(({ job }) => job.id)

/** Acts like a kill of the process: it sends no more heartbeats. */
const kill = ({ members }: Worker): Promise<unknown> =>
  mongo.db
    .collection<{ _id: string }>(MEMBERS)
    .updateOne({ _id: members.id }, { $set: { seen: new Date(Date.now() - 21_000) } })

/** Waiting for the end of the key's jobs makes the queue look for those of dead processes at once. */
const lookFor = ({ queue }: Worker): void => void queue.settled('test', 'key', never).catch(() => undefined)

test('a job is stored, done once, and kept for a while', async () => {
  const one = await worker({ retention: 60_000 })
  await worker()
  await enqueue(one, 'j')
  await expect.poll(() => ids(one)).toEqual(['j'])
  expect(one.runs[0]!.job).toMatchObject({ payload: { of: 'j' }, attempt: 1, key: 'key', owner: 'ann' })
  expect(await state('j')).toBe('running')
  expect(await one.queue.open(['j', 'other'])).toHaveLength(1)
  await one.runs[0]!.attempt.progress({ percent: 50 })
  one.runs[0]!.done()
  await one.queue.idle()
  const stored = await doc('j')
  expect(stored).toMatchObject({ state: 'done', progress: { percent: 50 }, finishedAt: expect.any(Date) })
  expect(stored.expiresAt!.getTime() - stored.finishedAt!.getTime()).toBe(60_000)
  expect(stored).not.toHaveProperty('open')
  expect(await one.queue.open(['j'])).toEqual([])
  const indexes = await mongo.db.collection(JOBS).indexes()
  expect(indexes).toContainEqual(expect.objectContaining({ key: { expiresAt: 1 }, expireAfterSeconds: 0 }))
})

describe('of one key', () => {
  test('jobs run one after the other in their order, in any processes; jobs of other keys do not wait', async () => {
    const [one, two] = [await worker(), await worker()]
    await enqueue(one, 'a')
    await enqueue(two, 'b')
    await enqueue(one, 'c')
    await enqueue(two, 'other', { key: 'another' })
    await expect.poll(() => [ids(one), ids(two)]).toEqual([['a'], ['other']])
    one.runs[0]!.done()
    await expect.poll(() => ids(two)).toEqual(['other', 'b'])
    expect(ids(one)).toEqual(['a'])
    two.runs[1]!.done()
    await expect.poll(() => ids(one)).toEqual(['a', 'c'])
  })

  test('as many run at once as the kind allows, and no more', async () => {
    const [one, two] = [await worker({ perKey: 2 }), await worker({ perKey: 2 })]
    for (const id of ['a', 'c', 'e']) await enqueue(one, id)
    await enqueue(two, 'f')
    await expect.poll(() => ids(one)).toEqual(['a', 'c'])
    one.runs[1]!.done()
    await expect.poll(() => ids(one)).toEqual(['a', 'c', 'e'])
    expect(ids(two)).toEqual([])
    one.runs[0]!.done()
    await expect.poll(() => ids(two)).toEqual(['f'])
  })

  test('jobs that two processes accept at the same time never overlap', async () => {
    let running = 0
    let most = 0
    let done = 0
    const run = async (_job: Job, { progress }: Attempt): Promise<void> => {
      most = Math.max(most, ++running)
      await progress(1)
      running--
      done++
    }
    const both = [await worker({ run }), await worker({ run }), await worker({ run })]
    await Promise.all(
      Array.from({ length: 30 }, (_, count) =>
        enqueue(both[count % 3]!, `j${count}`, { owner: `u${count % 5}` }),
      ),
    )
    for (const { queue } of both) await queue.idle()
    expect([most, done]).toEqual([1, 30])
  })
})

test('users take turns, and none exceeds its limit', async () => {
  const one = await worker({ limits: { ...LIMITS, atOnce: 2, atOncePerOwner: 1 } })
  for (const id of ['a1', 'a2', 'a3']) await enqueue(one, id, { key: id })
  await enqueue(one, 'b1', { key: 'b1', owner: 'bob' })
  await enqueue(one, 'c1', { key: 'c1', owner: 'eve' })
  await expect.poll(() => ids(one)).toEqual(['a1', 'b1'])
  one.runs[0]!.done()
  await expect.poll(() => ids(one)).toEqual(['a1', 'b1', 'a2'])
  // It is her turn again after all others.
  one.runs[2]!.done()
  await expect.poll(() => ids(one)).toEqual(['a1', 'b1', 'a2', 'c1'])
  one.runs[3]!.done()
  await expect.poll(() => ids(one)).toEqual(['a1', 'b1', 'a2', 'c1', 'a3'])
})

test('jobs over the limit of a user or of all are refused, until one has ended', async () => {
  const one = await worker({ limits: { ...LIMITS, most: 3, mostPerOwner: 2 } })
  const both = await Promise.allSettled(['a', 'b', 'c'].map((id) => enqueue(one, id)))
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  await expect(enqueue(one, 'c')).rejects.toMatchObject({
    code: 'FP_QUEUE_FULL',
    details: { limit: 'test_jobs_waiting_per_account', most: 2 },
  })
  await enqueue(one, 'd', { owner: 'bob' })
  await expect(enqueue(one, 'e', { owner: 'eve' })).rejects.toMatchObject({
    details: { limit: 'test_jobs_waiting' },
  })
  expect(await mongo.db.collection(JOBS).countDocuments()).toBe(3)
  await expect.poll(() => ids(one)).toEqual(['a'])
  one.runs[0]!.done()
  await expect.poll(() => state('a')).toBe('done')
  await expect
    .poll(() =>
      enqueue(one, 'e', { owner: 'eve' }).then(
        ({ id }) => id,
        () => '',
      ),
    )
    .toBe('e')
})

test('a job waits for its time, delays no other job meanwhile, and does not delay a shutdown', async () => {
  const one = await worker()
  await enqueue(one, 'later', { runAt: new Date(one.clock.wall() + 3_600_000) })
  await enqueue(one, 'now')
  await expect.poll(() => ids(one)).toEqual(['now'])
  one.runs[0]!.done()
  await one.queue.idle()
  expect(await state('later')).toBe('waiting')
  await one.clock.advance(3_600_000)
  await expect.poll(() => ids(one)).toEqual(['now', 'later'])
})

describe('an attempt that fails', () => {
  test('is repeated after a delay, before the younger jobs of its key, as often as its kind allows', async () => {
    const one = await worker({ attempts: 3, backoff: (attempt) => attempt * 10_000 })
    await enqueue(one, 'a')
    await enqueue(one, 'b')
    await expect.poll(() => ids(one)).toEqual(['a'])
    one.runs[0]!.fail(new Error('first'))
    await expect.poll(async () => doc('a')).toMatchObject({ state: 'waiting', error: 'first', attempt: 1 })
    await one.clock.advance(9_000)
    expect(ids(one)).toEqual(['a'])
    await one.clock.advance(1_000)
    await expect.poll(() => ids(one)).toEqual(['a', 'a'])
    expect(one.runs[1]!.attempt.fence).toBe(2)
    one.runs[1]!.fail(new Error('second'))
    await expect.poll(async () => doc('a')).toMatchObject({ state: 'waiting', attempt: 2 })
    await one.clock.advance(20_000)
    await expect.poll(() => ids(one)).toEqual(['a', 'a', 'a'])
    one.runs[2]!.fail(new Error('third'))
    await expect.poll(async () => doc('a')).toMatchObject({ state: 'failed', error: 'third', attempt: 3 })
    await expect.poll(() => ids(one)).toEqual(['a', 'a', 'a', 'b'])
    expect(one.ended).toEqual(['a failed'])
  })

  test('is the last by default', async () => {
    const one = await worker()
    await enqueue(one, 'a')
    await expect.poll(() => ids(one)).toEqual(['a'])
    one.runs[0]!.fail(new Error('broken'))
    await expect.poll(async () => doc('a')).toMatchObject({ state: 'failed', error: 'broken' })
  })
})

test('a job that was claimed by a write whose result was lost is run', async () => {
  const one = await worker()
  await enqueue(one, 'a')
  await enqueue(one, 'b')
  await expect.poll(() => ids(one)).toEqual(['a'])
  await mongo.db
    .collection<JobDoc>(JOBS)
    .updateOne({ _id: 'b' }, { $set: { state: 'running', slot: 1 }, $inc: { attempt: 1 } })
  one.runs[0]!.done()
  await expect.poll(() => ids(one)).toEqual(['a', 'b'])
  expect(one.runs[1]!.attempt.fence).toBe(1)
  one.runs[1]!.done()
  await one.queue.settled('test', 'key', never)
  expect([await state('a'), await state('b'), one.ended]).toEqual(['done', 'done', []])
})

test('a job without a delay goes before younger ones, even if its process has a clock that is ahead', async () => {
  const [one, two] = [await worker(), await worker()]
  await two.clock.advance(60_000)
  await enqueue(two, 'a')
  await enqueue(one, 'b')
  await expect.poll(() => ids(two)).toEqual(['a'])
  two.runs[0]!.done()
  await expect.poll(() => ids(one)).toEqual(['b'])
})

describe('a process that dies', () => {
  test('loses its jobs in their order, as new attempts; jobs of living processes are not taken over', async () => {
    const [one, two] = [await worker({ attempts: 2 }), await worker({ attempts: 2 })]
    await enqueue(one, 'a')
    await enqueue(one, 'b')
    await enqueue(two, 'mine', { key: 'mine' })
    await expect.poll(() => [ids(one), ids(two)]).toEqual([['a'], ['mine']])
    const third = await worker({ attempts: 2 })
    expect(third.runs).toEqual([])
    await kill(one)
    lookFor(two)
    await expect.poll(() => ids(two)).toEqual(['mine', 'a'])
    expect(two.runs[1]!.attempt.fence).toBe(2)
    await expect(one.runs[0]!.attempt.progress('late')).rejects.toMatchObject({ name: 'StaleAttempt' })
    one.runs[0]!.done()
    two.runs[1]!.done()
    await expect.poll(() => ids(two)).toEqual(['mine', 'a', 'b'])
    two.runs[2]!.done()
    await two.queue.settled('test', 'key', never)
    expect(await doc('a')).toMatchObject({ state: 'done', member: two.members.id, progress: null })
    expect(await doc('b')).toMatchObject({ state: 'done', attempt: 1 })
  })

  test('leaves attempts that cannot be repeated; these are ended, and their handler is called', async () => {
    const [one, two] = [await worker(), await worker()]
    await enqueue(one, 'a')
    await enqueue(one, 'b')
    await expect.poll(() => ids(one)).toEqual(['a'])
    await kill(one)
    lookFor(two)
    await expect.poll(() => ids(two)).toEqual(['b'])
    expect(two.ended).toEqual(['a abandoned'])
    expect(await state('a')).toBe('abandoned')
  })

  test('leaves the call of the handler to the next process if that call has failed', async () => {
    const one = await worker()
    await enqueue(one, 'a')
    await expect.poll(() => ids(one)).toEqual(['a'])
    await kill(one)
    let fail = true
    const told: string[] = []
    const two = await worker({
      async ended(job, as) {
        if (fail) throw new Error('the database is away')
        told.push(`${job.id} ${as}`)
      },
    })
    await expect.poll(async () => (await doc('a')).member).toBe(two.members.id)
    expect(await state('a')).toBe('waiting')
    fail = false
    await two.clock.advance(1_000)
    await expect.poll(() => told).toEqual(['a abandoned'])
  })

  test('a lost process stops its jobs, and takes them over itself when no other process does', async () => {
    const one = await worker({ attempts: 2 })
    await enqueue(one, 'a')
    await expect.poll(() => ids(one)).toEqual(['a'])
    const { id } = one.members
    await kill(one)
    // At its next heartbeat.
    await expect.poll(() => one.runs[0]!.attempt.signal.aborted).toBe(true)
    await expect.poll(() => one.members.id).not.toBe(id)
    lookFor(one)
    await expect.poll(() => ids(one)).toEqual(['a', 'a'])
    expect(one.runs[1]!.attempt.fence).toBe(2)
  })
})

describe('cancel', () => {
  test('ends waiting and running jobs in any process', async () => {
    const [one, two] = [await worker(), await worker()]
    await enqueue(one, 'a')
    await enqueue(two, 'b')
    await enqueue(one, 'c', { runAt: new Date(one.clock.wall() + 60_000) })
    await enqueue(one, 'other', { key: 'other' })
    await expect.poll(() => ids(one)).toEqual(['a', 'other'])
    await two.queue.cancel('test', 'key')
    await two.queue.settled('test', 'key', never)
    expect(one.runs[0]!.attempt.signal.reason).toMatchObject({ name: 'JobCancelled' })
    expect(await Promise.all(['a', 'b', 'c', 'other'].map(state))).toEqual([
      'cancelled',
      'cancelled',
      'cancelled',
      'running',
    ])
    // The handler of the running one was called.
    expect([...one.ended, ...two.ended].sort()).toEqual(['b cancelled', 'c cancelled'])
    await enqueue(one, 'next')
    await expect.poll(() => ids(one)).toContain('next')
  })

  test('of a dead process’s jobs ends them too', async () => {
    const [one, two] = [await worker(), await worker()]
    await enqueue(one, 'a')
    await expect.poll(() => ids(one)).toEqual(['a'])
    await kill(one)
    await two.queue.cancel('test', 'key')
    await two.queue.settled('test', 'key', never)
    expect(await state('a')).toBe('cancelled')
    expect(two.runs).toEqual([])
  })
})

describe('close', () => {
  test('accepts no more, ends running attempts, and gives the rest to other processes at once', async () => {
    const [one, two] = [await worker({ attempts: 2 }), await worker({ attempts: 2 })]
    for (const id of ['a', 'b']) await enqueue(one, id)
    await expect.poll(() => ids(one)).toEqual(['a'])
    await one.queue.close()
    expect(one.runs[0]!.attempt.signal.reason).toMatchObject({ name: 'QueueClosed' })
    await expect(enqueue(one, 'c')).rejects.toMatchObject({ name: 'QueueClosed' })
    await expect.poll(() => ids(two)).toEqual(['a'])
    two.runs[0]!.done()
    await expect.poll(() => ids(two)).toEqual(['a', 'b'])
    expect(two.runs[1]!.job.attempt).toBe(1)
  })

  test('ends waiting jobs of a kind that ends with the process, as does a death', async () => {
    const ending = { attempts: 9, endsWithProcess: true }
    const [one, two, three] = [await worker(ending), await worker(ending), await worker(ending)]
    for (const id of ['a', 'b']) await enqueue(one, id)
    for (const id of ['c', 'd']) await enqueue(two, id, { key: 'other' })
    await expect.poll(() => [ids(one), ids(two)]).toEqual([['a'], ['c']])
    await one.queue.close()
    expect(one.ended.sort()).toEqual(['a stopped', 'b stopped'])
    expect(await Promise.all(['a', 'b'].map(state))).toEqual(['stopped', 'stopped'])
    await kill(two)
    await three.queue.recover()
    expect(three.ended.sort()).toEqual(['c abandoned', 'd abandoned'])
    expect(three.runs).toEqual([])
  })

  test('idle waits for accepted jobs', async () => {
    const one = await worker()
    await enqueue(one, 'a')
    let idle = false
    const waited = one.queue.idle().then(() => (idle = true))
    await expect.poll(() => ids(one)).toEqual(['a'])
    expect(idle).toBe(false)
    one.runs[0]!.done()
    await waited
    expect(await state('a')).toBe('done')
  })
})

test('a process that does not handle a kind leaves its jobs to other processes', async () => {
  const one = await worker({}, false)
  await enqueue(one, 'a')
  await one.queue.idle()
  expect(await doc('a')).toMatchObject({ member: null })
  const two = await worker()
  await expect.poll(() => ids(two)).toEqual(['a'])
  await enqueue(one, 'b', { key: 'b' })
  await expect.poll(() => ids(two)).toEqual(['a', 'b'])
})

test('changes during a failure of the change stream are noticed', async () => {
  const [one, two] = [await worker(), await worker()]
  await enqueue(one, 'a')
  await enqueue(two, 'b')
  await expect.poll(() => ids(one)).toEqual(['a'])
  // The streams end and are opened again. The job ends meanwhile, without an event.
  const stored = await mongo.db.collection<JobDoc>(JOBS).find().toArray()
  await mongo.db.collection(JOBS).drop()
  const ended = stored.map(({ open, slot, ...rest }) =>
    rest._id === 'a'
      ? { ...rest, state: 'done' as const }
      : { ...rest, ...(open && { open }), ...(slot !== undefined && { slot }) },
  )
  await mongo.db.collection<JobDoc>(JOBS).insertMany(ended)
  await expect.poll(() => ids(two)).toEqual(['b'])
})
