import type { Collection, Db } from 'mongodb'
import type { Lease, LeaseState } from './elector.ts'

interface LeaseDoc extends LeaseState {
  readonly _id: string
  readonly revision: number
}

/** In ms. The server gives up an operation that takes longer. */
const SERVER_LIMIT = 5_000

export interface MongoLeaseOptions {
  /** Processes with the same name elect one leader among themselves. */
  readonly name: string
  /** Whether a process leads by another protocol. While one does, the lease appears to be taken. */
  readonly isTaken?: () => boolean
}

/** A lease in MongoDB: one document that is replaced by compare-and-swap. */
export function createMongoLease(db: Db, { name, isTaken = () => false }: MongoLeaseOptions): Lease {
  const leases: Collection<LeaseDoc> = db.collection('leases', { readPreference: 'primary' })
  return {
    async read(signal) {
      // Each result differs from the one before, so that no process regards the lease as abandoned.
      if (isTaken())
        return {
          holder: 'another protocol',
          renewTime: Date.now(),
          duration: SERVER_LIMIT,
          term: 0,
          revision: -1,
        }
      const found = await leases.findOne({ _id: name }, { signal, maxTimeMS: SERVER_LIMIT })
      if (!found) return undefined
      const { _id, ...state } = found
      return state
    },
    async write(next, revision, signal) {
      signal.throwIfAborted()
      const options = { writeConcern: { w: 'majority' }, maxTimeMS: SERVER_LIMIT } as const
      const doc = { ...next, revision: (revision ?? 0) + 1 }
      if (revision === undefined) return void (await leases.insertOne({ _id: name, ...doc }, options))
      const { matchedCount } = await leases.replaceOne({ _id: name, revision }, doc, options)
      if (matchedCount === 0)
        throw new Error(`Another process has changed the lease ${name}; it is read again.`)
    },
  }
}
