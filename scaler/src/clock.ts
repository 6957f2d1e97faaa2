/** Time as the library sees it; tests drive their own. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /** The time of day: milliseconds since 1970, for warm windows alone. */
  wall(): number
  /** Calls `fn` once after `ms`; the returned function cancels. Must not keep the process alive. */
  schedule(ms: number, fn: () => void): () => void
}

/** setTimeout fires at once above this; longer waits are cut into pieces. */
const MAX_DELAY = 2_147_483_647

/** The machine's own time. */
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
