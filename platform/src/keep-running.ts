import { setTimeout as delay } from 'node:timers/promises'

/** Time between an end and the next start, in ms. It doubles with each attempt. */
const FIRST_RETRY = 100
const LONGEST_RETRY = 30_000
/** If a process has run for this long, in ms, its start was not the problem, so the delay begins with the first one again. */
const SETTLED_AFTER = 60_000

interface Running {
  /** Resolves to how the process ended, once it has ended. */
  readonly ended: Promise<string>
  stop(patience?: number): Promise<void>
}

export interface KeepRunningOptions<T extends Running> {
  /** Starts the process and resolves once it serves. */
  launch(): Promise<T>
  /** The process ended by itself or did not start. The next attempt is in `retryIn` ms. */
  readonly onEnd?: (end: { how: string; retryIn: number; error?: unknown }) => void
  readonly onRestart?: () => void
  readonly now?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

export interface KeptRunning<T> {
  current(): T
  /** Why the process does not serve at the moment. Undefined: it serves. */
  problem(): string | undefined
  /** `patience`, in ms, is passed to the process's own `stop`. */
  stop(patience?: number): Promise<void>
}

/** Starts a process, and restarts it with growing delays whenever it ends, until `stop`. Rejects if the first start fails. */
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

  /** Returns the delay of the next attempt. */
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
      // `stop` may have been called meanwhile. It then stopped the old process, which had ended already.
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
