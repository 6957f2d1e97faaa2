import { systemClock, type Clock } from './clock.ts'

/** Between two probes: often enough not to be felt, seldom enough not to slow the start that is being waited for. */
export const PROBE_INTERVAL = 25

/**
 * Probes an endpoint until it answers. For drivers: readiness is an HTTP answer of the endpoint itself.
 * Rejects with the signal's reason; the caller's signal is the time limit.
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

/** Rejects with the signal's reason. */
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
