import { setTimeout as delay } from 'node:timers/promises'
import { Timestamp, type ChangeStream, type ChangeStreamDocument, type Db, type Document } from 'mongodb'

export interface Following<T extends Document> {
  /**
   * Begins a stream, at the first and after each break; whatever may have been missed meanwhile is to be caught up here.
   */
  open(): Promise<ChangeStream<T>>
  onChange(change: ChangeStreamDocument<T>): void
  /** The stream has broken; it will be opened again. */
  onError(error: Error): void
}

/** Until a broken stream is opened again, in ms: ever longer while that fails. */
const FIRST_RETRY = 100
const LAST_RETRY = 5_000

/**
 * Follows a change stream until it is disposed of. The driver resumes it after short breaks; after any other it is opened
 * anew. Resolves once it is open for the first time, and rejects when it cannot be.
 */
export async function follow<T extends Document>(following: Following<T>): Promise<AsyncDisposable> {
  const ended = new AbortController()
  let stream: ChangeStream<T> | undefined = await following.open()
  void run()

  async function run(): Promise<void> {
    for (let retry = FIRST_RETRY; !ended.signal.aborted;) {
      try {
        stream ??= await following.open()
        retry = FIRST_RETRY
        // Ends by an error, and without one when the collection has been dropped.
        for await (const change of ended.signal.aborted ? [] : stream) {
          if (ended.signal.aborted) break
          following.onChange(change)
        }
      } catch (error) {
        if (!ended.signal.aborted) following.onError(error as Error)
      }
      void stream?.close().catch(() => undefined)
      stream = undefined
      await delay(retry, undefined, { signal: ended.signal, ref: false }).catch(() => undefined)
      retry = Math.min(LAST_RETRY, retry * 2)
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      ended.abort()
      // Not waited for: it ends with the answer of the server, which keeps the question for up to a second.
      void stream?.close().catch(() => undefined)
    },
  }
}

/** Of the newest write there is. Rejects for some moments after a start of MongoDB: it does not know that yet. */
export async function presentInstant(db: Db): Promise<Timestamp> {
  const { operationTime } = (await db.command({ ping: 1 })) as { operationTime?: Timestamp }
  if (!operationTime) throw new Error('MongoDB has just been started and does not know its newest write yet.')
  return operationTime
}

/** Where a stream begins that is to have all that came after an instant, and nothing else. */
export function after(instant: Timestamp): Timestamp {
  return new Timestamp({ t: instant.getHighBitsUnsigned(), i: instant.getLowBitsUnsigned() + 1 })
}
