import type { Db } from 'mongodb'
import { FpError } from '../errors.ts'
import { newId } from '../ids.ts'

/** Between two signs of life, in ms. */
const BEAT = 5_000
/** One that gives none for this long is dead: what it carried is ended by others. By MongoDB's clock alone, in ms. */
const DEAD_AFTER = 30_000
/** One that cannot give any stops what it carries, well before that. */
const LOST_AFTER = 20_000
/** Of a dead one nothing is left after this, in seconds. */
const FORGOTTEN_AFTER_S = 3_600

/** This process among all that run the platform on one database. */
export interface Replicas extends AsyncDisposable {
  /** Never used again: a process that starts anew is another replica. */
  readonly id: string
  /** Fires when the others may take this replica for dead. Another one once it is in touch with them again. */
  readonly lost: AbortSignal
  /** Those that live, this one among them. Ask after reading what they are said to do: one may have come meanwhile. */
  living(): Promise<Set<string>>
}

interface ReplicaDoc {
  readonly _id: string
  readonly seen: Date
}

/** Of a home in which there is one process alone: whatever another one carried ended with it. */
export function soleReplica(): Replicas {
  const id = newId('r')
  return {
    id,
    lost: new AbortController().signal,
    living: () => Promise.resolve(new Set([id])),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Tells the others that this replica lives, until it is disposed of; then that it has gone. */
export async function joinReplicas(db: Db, onError: (error: Error) => void): Promise<Replicas> {
  const replicas = db.collection<ReplicaDoc>('replicas')
  const id = newId('r')
  let lost = new AbortController()
  let beaten = performance.now()
  let beating: Promise<void> = Promise.resolve()

  const beat = async (): Promise<void> => {
    const began = performance.now()
    await replicas.updateOne({ _id: id }, [{ $set: { seen: '$$NOW' } }], { upsert: true })
    beaten = began
    if (lost.signal.aborted) lost = new AbortController()
  }
  await replicas.createIndex({ seen: 1 }, { expireAfterSeconds: FORGOTTEN_AFTER_S })
  await beat()
  const timer = setInterval(() => {
    beating = beat().catch(onError)
    if (performance.now() - beaten < LOST_AFTER) return
    lost.abort(new FpError('FP_UNAVAILABLE', 'The platform lost the connection to its database. Try again.'))
  }, BEAT)
  timer.unref()

  return {
    id,
    get lost() {
      return lost.signal
    },
    async living() {
      const alive = { $lt: [{ $subtract: ['$$NOW', '$seen'] }, DEAD_AFTER] }
      const found = await replicas.find({ $expr: alive }, { projection: { _id: 1 } }).toArray()
      return new Set(found.map(({ _id }) => _id))
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await beating
      await replicas.deleteOne({ _id: id }).catch(onError)
    },
  }
}
