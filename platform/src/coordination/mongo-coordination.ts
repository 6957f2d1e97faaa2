import type { Coordination, Shared } from '@fp/scaler'
import { ObjectId, ReadConcern, type Collection, type Db, type Document } from 'mongodb'
import { isDuplicateKey } from '../duplicate-key.ts'
import { watchDocuments, type RegisterDoc } from './watch.ts'

export interface MongoCoordinationOptions {
  /** Called when the change stream has failed. It is opened again. */
  readonly onError?: (error: Error) => void
  readonly collection?: string
}

type Seen = Pick<RegisterDoc, 'state' | 'count' | 'value'>

/** In ms. The server gives up an operation that takes longer. The scaler waits for an update for 5 s. */
const SERVER_LIMIT = 5_000
/** A write that succeeded survives the loss of any one server. */
const DURABLE = { writeConcern: { w: 'majority' }, maxTimeMS: SERVER_LIMIT } as const

/** The register of the scaler's activators in MongoDB. Every replica of the platform opens it on the same database. */
export function createMongoCoordination(db: Db, options: MongoCoordinationOptions = {}): Coordination {
  // Whatever the database's URI prefers: other servers may have old data.
  const register = db.collection<RegisterDoc>(options.collection ?? 'coordination', {
    readPreference: 'primary',
  })
  /**
   * The newest state that this replica knows, from its own updates and from the change stream. An update tries it first, so
   * that an update without a conflict takes one round trip. A key that is missing here is assumed not to exist, until MongoDB
   * answers otherwise.
   */
  const seen = new Map<string, Seen>()

  function see(key: string, found: Seen | undefined): void {
    if (found) seen.set(key, found)
    else seen.delete(key)
  }

  return {
    async update<T extends Shared>(
      key: string,
      change: (current: T | undefined) => T | undefined,
      { signal }: { signal: AbortSignal },
    ): Promise<T | undefined> {
      let current = seen.get(key)
      let certain = false
      for (;;) {
        signal.throwIfAborted()
        const before = current && (JSON.parse(current.value) as T)
        const after = change(before)
        if (after === before) {
          if (certain) return before
          // Nothing is written, so nothing proves yet that the state seen is the stored one.
          current = await unlessAborted(read(register, key), signal)
          certain = true
        } else {
          const found = await unlessAborted(swap(register, key, current, after), signal)
          see(key, found.now)
          if (found.done) return after
          // The state that the failed swap has found is as certain as a read.
          current = found.now
          certain = true
        }
      }
    },

    watch: (onChange) =>
      watchDocuments(db, register, {
        onError: options.onError ?? (() => undefined),
        onChange(key, found) {
          // A late event about an older update must not replace a newer state.
          if (!found || found.count >= (seen.get(key)?.count ?? 0)) see(key, found)
          onChange(key, found && (JSON.parse(found.value) as Shared))
        },
      }),
  }
}

interface Swap {
  readonly done: boolean
  /** What is stored now. */
  readonly now: Seen | undefined
}

/** Replaces `expected` by `after` in one round trip. If another state is stored, returns that one. */
async function swap(
  register: Collection<RegisterDoc>,
  key: string,
  expected: Seen | undefined,
  after: Shared | undefined,
): Promise<Swap> {
  if (after === undefined) {
    const { deletedCount } = await register.deleteOne({ _id: key, state: expected!.state }, DURABLE)
    return deletedCount === 1
      ? { done: true, now: undefined }
      : { done: false, now: await read(register, key) }
  }
  const next: RegisterDoc = {
    _id: key,
    state: new ObjectId(),
    count: (expected?.count ?? 0) + 1,
    value: JSON.stringify(after),
  }
  // If the stored state is not the expected one, the document is replaced by itself, which is no change for MongoDB.
  const isExpected: Document = expected
    ? { $eq: ['$state', expected.state] }
    : { $eq: [{ $type: '$state' }, 'missing'] }
  const step = [{ $replaceWith: { $cond: [isExpected, { $literal: next }, '$$ROOT'] } }]
  try {
    const now = await register.findOneAndUpdate({ _id: key }, step, {
      upsert: expected === undefined,
      returnDocument: 'after',
      ...DURABLE,
    })
    return { done: now?.state.equals(next.state) ?? false, now: now ?? undefined }
  } catch (error) {
    // Another process has inserted the key at the same time.
    if (!isDuplicateKey(error)) throw error
    return { done: false, now: await read(register, key) }
  }
}

/** Linearizable, so that a server that was primary until a moment ago cannot answer with an old state. */
async function read(register: Collection<RegisterDoc>, key: string): Promise<Seen | undefined> {
  const options = { readConcern: new ReadConcern('linearizable'), maxTimeMS: SERVER_LIMIT }
  return (await register.findOne({ _id: key }, options)) ?? undefined
}

/** Rejects when the signal aborts, as an answer may never come. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', give, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', give))
  })
}
