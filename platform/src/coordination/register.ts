import type { Coordination, Shared } from '@fp/scaler'
import { ObjectId, ReadConcern, type Collection, type Db, type Document } from 'mongodb'
import { isDuplicateKey } from '../duplicate-key.ts'
import { watchDocuments, type RegisterDoc } from './watch.ts'

export interface MongoCoordinationOptions {
  /** Told of breaks in the news; they are mended by themselves. */
  readonly onError?: (error: Error) => void
  readonly collection?: string
}

type Seen = Pick<RegisterDoc, 'state' | 'count' | 'value'>

/** In ms, for the server: what it has not done by then it leaves undone. The scaler waits for an update for 5 s. */
const SERVER_LIMIT = 5_000
/** What has been decided survives the loss of any one server. */
const DURABLE = { writeConcern: { w: 'majority' }, maxTimeMS: SERVER_LIMIT } as const

/** The register of the scaler's activators in MongoDB: every replica of the platform makes one on the same database. */
export function createMongoCoordination(db: Db, options: MongoCoordinationOptions = {}): Coordination {
  // Whatever the address of the database prefers: what another server says may be old.
  const register = db.collection<RegisterDoc>(options.collection ?? 'coordination', {
    readPreference: 'primary',
  })
  /**
   * The newest state that this replica has heard of, by its own updates and by the news: an update tries with it first, so
   * that one nobody disputes takes one round trip. What is missing here is taken for not being there; MongoDB knows better.
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
          // Nothing is written, so nothing proves that what was seen is what is there.
          current = await unlessAborted(read(register, key), signal)
          certain = true
        } else {
          const found = await unlessAborted(swap(register, key, current, after), signal)
          see(key, found.now)
          if (found.done) return after
          // What the failed swap has found is as certain as a read.
          current = found.now
          certain = true
        }
      }
    },

    watch: (onChange) =>
      watchDocuments(db, register, {
        onError: options.onError ?? (() => undefined),
        onChange(key, found) {
          // Late news of one's own updates are no reason to forget the newer.
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

/** Puts `after` in the place of `expected`, in one round trip; one that comes too late brings what is there instead. */
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
  // Where it is not what was expected it is replaced by itself, which MongoDB does not take for a change.
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
    // Of two that insert at once.
    if (!isDuplicateKey(error)) throw error
    return { done: false, now: await read(register, key) }
  }
}

/** Linearizable: a server that was primary a moment ago must not answer with what was there then. */
async function read(register: Collection<RegisterDoc>, key: string): Promise<Seen | undefined> {
  const options = { readConcern: new ReadConcern('linearizable'), maxTimeMS: SERVER_LIMIT }
  return (await register.findOne({ _id: key }, options)) ?? undefined
}

/** A caller who has given up does not wait for an answer that may never come. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', give, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', give))
  })
}
