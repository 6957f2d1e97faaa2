import { setTimeout as delay } from 'node:timers/promises'

/** Between an end and the next start, ms: doubled from attempt to attempt. */
const FIRST_RETRY = 100
const LONGEST_RETRY = 30_000
/** One that has been up for this long did not end because of how it was started: the next wait is the first again. ms */
const SETTLED_AFTER = 60_000

interface Running {
  /** Resolves when the process has ended, to how. */
  readonly ended: Promise<string>
  stop(patience?: number): Promise<void>
}

export interface KeepRunningOptions<T extends Running> {
  /** Starts it and resolves once it serves. */
  launch(): Promise<T>
  /** It ended without being told to, or did not start; the next attempt is in `retryIn` ms. */
  readonly onEnd?: (end: { how: string; retryIn: number; error?: unknown }) => void
  readonly onRestart?: () => void
  readonly now?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

export interface KeptRunning<T> {
  current(): T
  /** Why it does not serve at the moment, if so. */
  problem(): string | undefined
  /** `patience`, ms, is handed to the process' own `stop`. */
  stop(patience?: number): Promise<void>
}

/** Starts a process, and again whenever it ends, with longer and longer waits, until it is stopped. The first start may fail. */
export async function keepRunning<T extends Running>(
  options: KeepRunningOptions<T>,
): Promise<KeptRunning<T>> {
  const now = options.now ?? (() => performance.now())
  const sleep = options.sleep ?? ((ms, signal) => delay(ms, undefined, { signal }))
  const stopping = new AbortController()
  let current = await options.launch()
  let up = now()
  let problem: string | undefined
  const watching = watch()

  async function watch(): Promise<void> {
    for (let retry = FIRST_RETRY; ;) {
      const how = await current.ended
      if (stopping.signal.aborted) return
      if (now() - up >= SETTLED_AFTER) retry = FIRST_RETRY
      retry = await startAgain(`it ended (${how})`, retry)
      if (stopping.signal.aborted) return
    }
  }

  /** Returns the wait of the next attempt. */
  async function startAgain(reason: string, retry: number): Promise<number> {
    let error: unknown
    for (let how = reason; ; how = 'it could not be started') {
      problem = `${how}; it is being started again`
      options.onEnd?.({ how, retryIn: retry, ...(error !== undefined && { error }) })
      await sleep(retry, stopping.signal).catch(() => undefined)
      if (stopping.signal.aborted) return retry
      retry = Math.min(2 * retry, LONGEST_RETRY)
      try {
        current = await options.launch()
      } catch (reason) {
        error = reason
        continue
      }
      // `stop` may have come meanwhile; it then ended the old one, which was gone already.
      if (stopping.signal.aborted) {
        await current.stop()
        return retry
      }
      problem = undefined
      up = now()
      options.onRestart?.()
      return retry
    }
  }

  return {
    current: () => current,
    problem: () => problem,
    async stop(patience) {
      stopping.abort()
      await current.stop(patience)
      await watching
    },
  }
}
