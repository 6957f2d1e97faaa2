import type { Db } from 'mongodb'
import { after, follow, presentInstant } from '../coordination/follow.ts'
import { JOBS, type JobDoc } from './store.ts'

export interface JobChange {
  readonly kind: string
  readonly key: string
  readonly member: string | null
  readonly open: boolean
  readonly cancelled: boolean
}

/** Leaves out payloads, and changes that only store a job's progress. */
const PIPELINE = [
  { $match: { 'updateDescription.updatedFields.progress': { $exists: false } } },
  {
    $project: {
      operationType: 1,
      documentKey: 1,
      ...Object.fromEntries(
        ['kind', 'key', 'member', 'open', 'cancelled'].map((field) => [`fullDocument.${field}`, 1]),
      ),
    },
  },
]

/** Reports every change of a job by any process. `onOpen`: the stream was opened; after a failure changes may be lost. */
export function followJobs(
  db: Db,
  events: { onOpen(): void; onChange(change: JobChange): void; onError(error: Error): void },
): Promise<AsyncDisposable> {
  const jobs = db.collection<JobDoc>(JOBS)
  return follow<JobDoc>({
    async open() {
      const stream = jobs.watch<JobDoc>(PIPELINE, {
        startAtOperationTime: after(await presentInstant(db)),
        fullDocument: 'updateLookup',
      })
      events.onOpen()
      return stream
    },
    onChange(change) {
      const doc = 'fullDocument' in change ? change.fullDocument : undefined
      if (!doc) return
      const { kind, key, member } = doc
      events.onChange({ kind, key, member, open: doc.open === true, cancelled: doc.cancelled === true })
    },
    onError: (error) => events.onError(error),
  })
}
