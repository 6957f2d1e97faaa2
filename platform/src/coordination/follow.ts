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

/** Between two questions to a MongoDB that has just been started, and the time after which there is no third, in ms. */
const ASK_AGAIN = 50
const GIVE_UP = 30_000

/**
 * The time of the newest write. MongoDB does not know that time for some moments after its start, in which it already
 * takes writes: this waits for it. Rejects after 30 s.
 */
export async function presentInstant(db: Db): Promise<Timestamp> {
  for (let waited = 0; waited < GIVE_UP; waited += ASK_AGAIN) {
    const { operationTime } = (await db.command({ ping: 1 })) as { operationTime?: Timestamp }
    if (operationTime) return operationTime
    await delay(ASK_AGAIN)
  }
  throw new Error(
    `MongoDB does not name the time of its newest write, ${GIVE_UP / 1000} s after it was asked.`,
  )
}

/** Where a stream begins that is to have all that came after an instant, and nothing else. */
export function after(instant: Timestamp): Timestamp {
  return new Timestamp({ t: instant.getHighBitsUnsigned(), i: instant.getLowBitsUnsigned() + 1 })
}
