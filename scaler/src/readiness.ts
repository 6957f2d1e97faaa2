import { systemClock, type Clock } from './clock.ts'

/** ms between two probes: short enough not to delay requests noticeably, long enough not to slow down the starting app. */
export const PROBE_INTERVAL = 25

/**
 * Calls `probe` every `interval` ms until it resolves to true; a rejection counts as false. For drivers: an endpoint is ready
 * when it answers HTTP itself. There is no time limit other than the signal; rejects with its reason.
 */
export async function untilReady(
  probe: (signal: AbortSignal) => Promise<boolean>,
  options: { signal: AbortSignal; interval?: number; clock?: Clock },
): Promise<void> {
  const { signal, interval = PROBE_INTERVAL, clock = systemClock } = options
  for (;;) {
    signal.throwIfAborted()
    const ready = await probe(signal).catch(() => false)
    signal.throwIfAborted()
    if (ready) return
    await pause(interval, clock, signal)
  }
}

/** Resolves after `ms`. Rejects with the signal's reason when the signal aborts. */
export function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = clock.schedule(ms, () => {
      signal.removeEventListener('abort', aborted)
      resolve()
    })
    signal.addEventListener('abort', aborted, { once: true })
  })
}
