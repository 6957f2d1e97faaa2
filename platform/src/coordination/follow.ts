import { setTimeout as delay } from 'node:timers/promises'
import { Timestamp, type ChangeStream, type ChangeStreamDocument, type Db, type Document } from 'mongodb'

export interface Following<T extends Document> {
  /**
   * Opens a stream, at the start and after each failure. Must also handle the changes that may have been missed meanwhile.
   */
  open(): Promise<ChangeStream<T>>
  onChange(change: ChangeStreamDocument<T>): void
  /** Called when the stream has failed. It will be opened again. */
  onError(error: Error): void
}

/** The delay before a failed stream is opened again, in ms. It doubles while that fails, up to the second value. */
const FIRST_RETRY = 100
const LAST_RETRY = 5_000
/** How long a stream must have been open, in ms, so that the delay begins with the first value again. */
const SETTLED_AFTER = 10_000

/**
 * Follows a change stream until it is disposed of. The driver resumes it after short interruptions; after any other failure
 * a new one is opened. Resolves once the stream is open for the first time, and rejects when it cannot be opened then.
 */
export async function follow<T extends Document>(following: Following<T>): Promise<AsyncDisposable> {
  const ended = new AbortController()
  let stream: ChangeStream<T> | undefined = await following.open()
  void run()

  async function run(): Promise<void> {
    for (let retry = FIRST_RETRY; !ended.signal.aborted;) {
      const begun = performance.now()
      try {
        stream ??= await following.open()
        // Ends with an error, or without one when the collection was dropped.
        for await (const change of ended.signal.aborted ? [] : stream) {
          if (ended.signal.aborted) break
          following.onChange(change)
        }
      } catch (error) {
        if (!ended.signal.aborted) following.onError(error as Error)
      }
      void stream?.close().catch(() => undefined)
      stream = undefined
      // MongoDB may refuse the stream only at the first read, so an open stream alone is not a success.
      if (performance.now() - begun >= SETTLED_AFTER) retry = FIRST_RETRY
      await delay(retry, undefined, { signal: ended.signal, ref: false }).catch(() => undefined)
      retry = Math.min(LAST_RETRY, retry * 2)
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      ended.abort()
      // Not awaited: closing waits for the server's answer to the pending request, which can take a second.
      void stream?.close().catch(() => undefined)
    },
  }
}

/** Time between two requests to a MongoDB that was just started, and the time after which it is asked no more, in ms. */
const ASK_AGAIN = 50
const GIVE_UP = 30_000

/**
 * The time of the newest write. For some moments after its start MongoDB accepts writes but does not report that time yet.
 * This waits for it, and rejects after 30 s.
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

/** The start of a stream with all changes after an instant and no others. */
export function after(instant: Timestamp): Timestamp {
  return new Timestamp({ t: instant.getHighBitsUnsigned(), i: instant.getLowBitsUnsigned() + 1 })
}
