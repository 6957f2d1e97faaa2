import { joinMembership } from '../src/coordination/membership.ts'
import { createJobQueue } from '../src/jobs/queue.ts'
import { connectMongo } from '../src/plugins/mongo.ts'

/**
 * A process that does jobs of the kind `steps`, for tests that kill it or stop it. It tells its parent of each step by IPC, and takes
 * each after the parent's word.
 */
const tell = (message: object): void => void process.send!(message)
const ignore = (): void => undefined

const mongo = await connectMongo(process.argv[2]!)
const members = await joinMembership(mongo.db, {
  role: 'platform',
  onError: (error) => tell({ error: error.message }),
})
const queue = await createJobQueue({ db: mongo.db, members, log: { info: ignore, warn: ignore } })

queue.handle<{ steps: number }>('steps', {
  attempts: 3,
  limits: { work: 'jobs', atOnce: 8, atOncePerOwner: 8, most: 100, mostPerOwner: 100 },
  async run(job, { fence, progress, signal }) {
    for (let step = 1; step <= job.payload.steps; step++) {
      tell({ job: job.id, step, attempt: fence })
      await new Promise((resolve) => process.once('message', resolve))
      await progress({ step, by: members.id }).catch((error: Error) => {
        tell({ job: job.id, refused: error.name, lost: signal.aborted })
        throw error
      })
    }
  },
})
await queue.recover()
tell({ ready: members.id })
