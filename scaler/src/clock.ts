/** The library's source of time. Tests use a fake one. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /** The time of day in milliseconds since 1970. Used for warm windows, and to notice that this process was stopped for a while. */
  wall(): number
  /** Calls `fn` once after `ms`. The returned function cancels the call. The timer must not keep the process alive. */
  schedule(ms: number, fn: () => void): () => void
}

/** The maximum delay of setTimeout in ms; it fires immediately for longer delays, so these are split. */
export const MAX_DELAY = 2_147_483_647

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  schedule(ms, fn) {
    let timer: NodeJS.Timeout
    const arm = (left: number): void => {
      timer = setTimeout(() => (left > MAX_DELAY ? arm(left - MAX_DELAY) : fn()), Math.min(left, MAX_DELAY))
      timer.unref()
    }
    arm(ms)
    return () => clearTimeout(timer)
  },
}
