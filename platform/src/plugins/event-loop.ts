import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Measures the delay of the event loop since the present window began. Shows work that blocks the loop. */
export interface Lag extends Disposable {
  read(): EventLoopDelay
}

/** ms */
export interface EventLoopDelay {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const WINDOW = 60_000
const NANOSECONDS = 1e6

export function watchEventLoop(): Lag {
  const histogram = monitorEventLoopDelay({ resolution: 10 })
  histogram.enable()
  const timer = setInterval(() => histogram.reset(), WINDOW).unref()
  // The histogram's values include the sampling interval.
  const ms = (ns: number): number =>
    Number.isFinite(ns) ? Math.max(0, Math.round(ns / NANOSECONDS - 10)) : 0
  return {
    read: () => ({
      p50: ms(histogram.percentile(50)),
      p99: ms(histogram.percentile(99)),
      max: ms(histogram.max),
    }),
    [Symbol.dispose]() {
      clearInterval(timer)
      histogram.disable()
    },
  }
}
