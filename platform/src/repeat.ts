import { setTimeout as delay } from 'node:timers/promises'

export interface Repetition {
  /** Begins no further run. Resolves once the one under way has ended. */
  end(): Promise<void>
}

/**
 * Runs `work` again and again until it is ended, first after `first` ms. Each run resolves to the ms until the next one, which
 * count from its end: slow runs do not pile up. `work` must not reject. The process may end without waiting for the next run.
 */
export function repeat(work: () => Promise<number>, first = 0): Repetition {
  const ending = new AbortController()
  const { signal } = ending
  const running = (async () => {
    for (let pause = first; ; pause = await work()) {
      if (pause > 0) await delay(pause, undefined, { signal, ref: false }).catch(() => undefined)
      if (signal.aborted) return
    }
  })()
  return {
    end() {
      ending.abort()
      return running
    },
  }
}
