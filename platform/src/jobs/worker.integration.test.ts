import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { testMongoUri } from '../../test/database.ts'
import { joinMembership, MEMBERS, type Membership } from '../coordination/membership.ts'
import { connectMongo, type Mongo } from '../plugins/mongo.ts'
import { createJobQueue, type JobQueue } from './queue.ts'
import { JOBS, type JobDoc } from './store.ts'

interface Told {
  readonly ready?: string
  readonly step?: number
  readonly attempt?: number
  readonly refused?: string
}

/** A real process that runs jobs, and the messages it has sent. */
class Worker {
  readonly told: Told[] = []
  readonly process: ChildProcess

  constructor(uri: string) {
    this.process = fork(path.join(import.meta.dirname, '../../test/job-worker.ts'), [uri], {
      execArgv: ['--conditions=@fp/source'],
    })
    this.process.on('message', (message) => void this.told.push(message as Told))
  }

  get id(): string {
    return this.told.find(({ ready }) => ready)!.ready!
  }

  go(): void {
    this.process.send('go')
  }
}

let uri: string
let mongo: Mongo
let members: Membership
let queue: JobQueue
let workers: Worker[]

beforeEach(async () => {
  uri = testMongoUri()
  mongo = await connectMongo(uri)
  members = await joinMembership(mongo.db, { role: 'api', onError: () => undefined })
  queue = await createJobQueue({
    db: mongo.db,
    members,
    log: { info: () => undefined, warn: () => undefined },
  })
  workers = []
})
afterEach(async () => {
  for (const { process } of workers) {
    if (process.exitCode === null && process.signalCode === null) {
      process.kill('SIGKILL')
      await once(process, 'exit')
    }
  }
  await queue.close()
  await members[Symbol.asyncDispose]()
  await mongo.db.dropDatabase()
  await mongo.client.close()
})

async function start(): Promise<Worker> {
  const worker = new Worker(uri)
  workers.push(worker)
  await expect.poll(() => worker.told.some(({ ready }) => ready)).toBe(true)
  return worker
}

/** Makes the process dead for MongoDB, as after enough missing heartbeats. */
const silence = (id: string): Promise<unknown> =>
  mongo.db
    .collection<{ _id: string }>(MEMBERS)
    .updateOne({ _id: id }, { $set: { seen: new Date(Date.now() - 21_000) } })
const doc = async (): Promise<JobDoc> => (await mongo.db.collection<JobDoc>(JOBS).findOne({ _id: 'j' }))!
const enqueue = (): Promise<unknown> =>
  queue.enqueue('steps', { id: 'j', key: 'key', owner: 'ann', payload: { steps: 2 } })

const lastStep = ({ told }: Worker): Told | undefined => told.findLast(({ step }) => step)

/** Starts another process, which takes over the jobs that it finds. */
async function successor(dead: Worker): Promise<Worker> {
  await silence(dead.id)
  return start()
}

test('the job of a killed process is run by another one, from the start', async () => {
  const one = await start()
  await enqueue()
  await expect.poll(() => lastStep(one)).toMatchObject({ step: 1, attempt: 1 })
  one.go()
  await expect.poll(() => lastStep(one)).toMatchObject({ step: 2 })
  one.process.kill('SIGKILL')
  await once(one.process, 'exit')
  expect(await doc()).toMatchObject({ state: 'running', attempt: 1, progress: { step: 1 } })

  const two = await successor(one)
  await expect.poll(() => lastStep(two)).toMatchObject({ step: 1, attempt: 2 })
  two.go()
  await expect.poll(() => lastStep(two)).toMatchObject({ step: 2 })
  two.go()
  await expect.poll(doc).toMatchObject({ state: 'done', attempt: 2, member: two.id, progress: { step: 2 } })
})

test('a process that was suspended and continues later writes nothing any more', async () => {
  const one = await start()
  await enqueue()
  await expect.poll(() => lastStep(one)).toMatchObject({ step: 1, attempt: 1 })
  one.process.kill('SIGSTOP')
  const two = await successor(one)
  await expect.poll(() => lastStep(two)).toMatchObject({ step: 1, attempt: 2 })
  // It has already received the message to go on.
  one.go()
  one.process.kill('SIGCONT')
  await expect.poll(() => one.told.find(({ refused }) => refused)).toMatchObject({ refused: 'StaleAttempt' })
  expect(await doc()).toMatchObject({ state: 'running', attempt: 2, member: two.id, progress: null })
  two.go()
  await expect.poll(() => lastStep(two)).toMatchObject({ step: 2 })
  two.go()
  await expect.poll(doc).toMatchObject({ state: 'done', attempt: 2, member: two.id, progress: { step: 2 } })
})
