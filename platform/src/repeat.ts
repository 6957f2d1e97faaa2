import { setTimeout as delay } from 'node:timers/promises'

export interface Repetition {
  /** Starts no further run. Resolves once the present one has ended. */
  end(): Promise<void>
}

/**
 * Runs `work` repeatedly until `end`, the first time after `first` ms. Each run resolves to the delay of the next one in ms,
 * counted from its end, so that runs never overlap. `work` must not reject. The delay does not keep the process alive.
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
