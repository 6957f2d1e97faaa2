import { setTimeout as delay } from 'node:timers/promises'

/**
 * Does `work` again and again, each time `interval` ms after the run before has ended: slow runs do not pile up. Returns what
 * ends the repetition; the process may end without.
 */
export function repeat(
  interval: number,
  work: () => Promise<unknown>,
  onError: (error: Error) => void,
): AbortController {
  const ending = new AbortController()
  const { signal } = ending
  void (async () => {
    for (;;) {
      await delay(interval, undefined, { signal, ref: false }).catch(() => undefined)
      if (signal.aborted) return
      await work().catch((error: unknown) => onError(error as Error))
    }
  })()
  return ending
}
