import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { cronMinutes, type CronMinutes } from './cron.ts'
import type { TargetPolicy, WarmWindow } from './types.ts'

const MINUTE = 60_000
/** ms until a target that must be kept awake but has stopped is woken again. Doubled at each attempt. */
const FIRST_RETRY = 1_000

/** How many replicas of one target are kept awake without requests: `minReplicas`, or at least one in a warm window. */
export class KeepWarm {
  readonly #clock: Clock
  readonly #policy: () => TargetPolicy
  readonly #windows: Alarm
  readonly #retry: Alarm
  readonly #due: () => void
  #warm = false
  #stopped = false
  #retryDelay = FIRST_RETRY

  /** `due` is called when a window may have begun or ended, or when the target should be woken again. It must call `look`. */
  constructor(clock: Clock, policy: () => TargetPolicy, due: () => void) {
    this.#clock = clock
    this.#policy = policy
    this.#due = due
    this.#windows = new Alarm(clock)
    this.#retry = new Alarm(clock)
    this.look()
  }

  get armed(): boolean {
    return this.#windows.armed || this.#retry.armed
  }

  get replicas(): number {
    if (this.#stopped) return 0
    return Math.max(this.#policy().minReplicas, this.#warm ? 1 : 0)
  }

  /** Checks the warm windows against the time of day, now and at the next minute. Sets no timer if there are no windows. */
  look(): void {
    const windows = this.#policy().warmWindows ?? []
    const at = this.#clock.wall()
    this.#warm = windows.some((window) => minutesOf(window).includes(at))
    if (windows.length > 0) this.#windows.set(MINUTE - (at % MINUTE), this.#due)
    else this.#windows.stop()
    if (this.replicas === 0) this.#retry.stop()
  }

  /** Called when the target has stopped although it must be kept awake. */
  retryLater(): void {
    this.#retry.set(this.#retryDelay, this.#due)
    this.#retryDelay = Math.min(this.#retryDelay * 2, MINUTE)
  }

  /** Called when the target became ready: cancels the retry and resets its delay. */
  becameReady(): void {
    this.#retry.stop()
    this.#retryDelay = FIRST_RETRY
  }

  /** Keeps nothing awake from now on. */
  stop(): void {
    this.#stopped = true
    this.#windows.stop()
    this.#retry.stop()
  }
}

/** A cache of parsed patterns. Parsing costs far more than a look-up, and a policy is often a new object. */
const known = new Map<string, CronMinutes>()
const MAX_KNOWN = 1_000

/** The minutes of a warm window, parsed once per pattern. Throws a RangeError if the pattern is not valid. */
export function minutesOf({ cron, timeZone }: WarmWindow): CronMinutes {
  const name = `${timeZone} ${cron}`
  let minutes = known.get(name)
  if (!minutes) {
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(name, (minutes = cronMinutes(cron, timeZone)))
  }
  return minutes
}
