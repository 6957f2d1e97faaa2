import { systemClock, type Clock, type Members } from '@fp/scaler'
import type { Db } from 'mongodb'
import { FpError } from '../errors.ts'
import { newId } from '../ids.ts'
import { after, follow, presentInstant } from './follow.ts'

/** Time between two heartbeats, in ms. */
const BEAT = 3_000
/** A member without a heartbeat for this long, in ms by MongoDB's clock, is dead, and others take over its work. */
const DEAD_AFTER = 20_000
/** A member that cannot send heartbeats stops its work after this time, in ms by its own clock. Well below DEAD_AFTER. */
const LOST_AFTER = 12_000
/** A heartbeat that takes longer, in ms, has failed. The next one is sent at the usual interval. */
const BEAT_TIMEOUT = 5_000
/** MongoDB removes the document of a dead member after this time, in seconds. */
const MEMBER_TTL_S = 3_600
/** How many ids are remembered as gone. If a ledger or a job names an older one, the database is read once more. */
const MAX_GONE = 1_000

/** What a process runs: the whole platform, the gate or the API. */
export type Role = 'platform' | 'gate' | 'api'

/**
 * This process as a member of all fp processes that share a database. A member that was lost joins again under another id:
 * an id that is dead for one process is dead for all, and stays dead.
 */
export interface Membership extends Members, AsyncDisposable {
  /** The ids of all living members, read from MongoDB now. Read what names the members before this call, not after. */
  living(): Promise<Set<string>>
  /** Whether a replica of an fp version from before this protocol is alive. Such a replica has no role. */
  readonly olderLive: boolean
}

interface MemberDoc {
  readonly _id: string
  readonly role?: Role
  readonly seen: Date
}

export interface MembershipOptions {
  readonly role: Role
  readonly onError: (error: Error) => void
  readonly clock?: Clock
}

const DURABLE = { writeConcern: { w: 'majority' }, maxTimeMS: BEAT_TIMEOUT } as const
const AGE = { $subtract: ['$$NOW', '$seen'] }
export const MEMBERS = 'replicas'

/** The membership where there is only one process: any other id is that of a process that has ended. */
export function soleMember(): Membership {
  const id = newId('r')
  return {
    id,
    lost: new AbortController().signal,
    olderLive: false,
    isDead: (other) => other !== id,
    watch: () => ({ [Symbol.dispose]: () => undefined }),
    living: () => Promise.resolve(new Set([id])),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Sends heartbeats until it is disposed of. Then removes its document, so that the others need not wait. */
export async function joinMembership(
  db: Db,
  { role, onError, clock = systemClock }: MembershipOptions,
): Promise<Membership> {
  const members = db.collection<MemberDoc>(MEMBERS, { readPreference: 'primary' })
  const watchers = new Set<() => void>()
  let id = newId('r')
  let lost = new AbortController()
  let cancelLoss = (): void => undefined
  let cancelBeat = (): void => undefined
  let closed = false
  /** The result of the last reading, by id. */
  let known = new Map<string, { readonly dead: boolean; readonly older: boolean }>()
  /** Ids that somebody asked for and that were not in the last reading: these members joined since then, or are gone. */
  const unknown = new Set<string>()
  const gone = new Set<string>()

  function lose(): void {
    if (lost.signal.aborted) return
    cancelLoss()
    lost.abort(new FpError('FP_UNAVAILABLE', 'The platform lost the connection to its database. Try again.'))
    tell()
  }

  /** `began`: when the heartbeat was sent. MongoDB's time for it is later, so this process stops before others call it dead. */
  function renew(began: number): void {
    cancelLoss()
    cancelLoss = clock.schedule(began + LOST_AFTER - clock.now(), lose)
  }

  async function beat(): Promise<void> {
    const began = clock.now()
    if (lost.signal.aborted) {
      const next = newId('r')
      await limited(() => insert(next))
      if (clock.now() - began >= LOST_AFTER || closed) return
      id = next
      lost = new AbortController()
    } else {
      // Must never revive a member that others may regard as dead.
      const { matchedCount } = await limited(() =>
        members.updateOne(
          { _id: id, $expr: { $lt: [AGE, DEAD_AFTER] } },
          [{ $set: { seen: '$$NOW' } }],
          DURABLE,
        ),
      )
      if (matchedCount === 0) lose()
      // It returns at once: after a pause of the process, requests wait for it.
      if (lost.signal.aborted) return closed ? undefined : beat()
    }
    renew(began)
    await read()
  }

  async function insert(own: string): Promise<void> {
    await members.updateOne({ _id: own }, [{ $set: { role, seen: '$$NOW' } }], { upsert: true, ...DURABLE })
  }

  async function read(): Promise<void> {
    const asked = [...unknown]
    const docs = await limited(() =>
      members
        .find<{ _id: string; role?: Role; dead: boolean }>(
          {},
          { projection: { role: 1, dead: { $gte: [AGE, DEAD_AFTER] } }, maxTimeMS: BEAT_TIMEOUT },
        )
        .toArray(),
    )
    known = new Map(docs.map((doc) => [doc._id, { dead: doc.dead, older: !doc.role }]))
    for (const other of asked) {
      unknown.delete(other)
      if (!known.has(other)) gone.add(other)
    }
    for (const other of gone) if (gone.size > MAX_GONE) gone.delete(other)
  }

  function tell(): void {
    for (const watcher of [...watchers]) watcher()
  }

  /** A database that does not answer must not keep the next heartbeat from being sent. */
  async function limited<T>(work: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>()
    const cancel = clock.schedule(BEAT_TIMEOUT, () =>
      late.reject(new Error(`MongoDB did not answer a heartbeat within ${BEAT_TIMEOUT / 1000} s.`)),
    )
    return Promise.race([work(), late.promise]).finally(cancel)
  }

  function schedule(): void {
    cancelBeat = clock.schedule(BEAT, () => {
      void beat()
        .catch(onError)
        .finally(() => {
          if (closed) return
          tell()
          schedule()
        })
    })
  }

  await members.createIndex({ seen: 1 }, { expireAfterSeconds: MEMBER_TTL_S })
  const began = clock.now()
  await insert(id)
  renew(began)
  await read()
  const departures = await follow<MemberDoc>({
    open: async () =>
      members.watch<MemberDoc>([{ $match: { operationType: 'delete' } }], {
        startAtOperationTime: after(await presentInstant(db)),
      }),
    onChange: () => void read().then(tell, onError),
    onError,
  })
  schedule()

  return {
    get id() {
      return id
    },
    get lost() {
      return lost.signal
    },
    get olderLive() {
      return [...known.values()].some(({ dead, older }) => older && !dead)
    },
    isDead(other) {
      const found = known.get(other)
      if (found) return found.dead
      if (gone.has(other)) return true
      if (other !== id) unknown.add(other)
      return false
    },
    watch(onChange) {
      watchers.add(onChange)
      return { [Symbol.dispose]: () => void watchers.delete(onChange) }
    },
    async living() {
      const docs = await members
        .find({ $expr: { $lt: [AGE, DEAD_AFTER] } }, { projection: { _id: 1 } })
        .toArray()
      return new Set(docs.map(({ _id }) => _id))
    },
    async [Symbol.asyncDispose]() {
      closed = true
      cancelBeat()
      cancelLoss()
      watchers.clear()
      await departures[Symbol.asyncDispose]()
      await members.deleteOne({ _id: id }).catch(onError)
    },
  }
}
