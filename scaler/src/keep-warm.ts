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
  readonly #alarm: Alarm
  readonly #due: () => void
  #warm = false
  #stopped = false
  #retry = FIRST_RETRY

  /** `due` is called when a window may have begun or ended, or when the target should be woken again. It must call `look`. */
  constructor(clock: Clock, policy: () => TargetPolicy, due: () => void) {
    this.#clock = clock
    this.#policy = policy
    this.#due = due
    this.#alarm = new Alarm(clock)
    this.look()
  }

  get armed(): boolean {
    return this.#alarm.armed
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
    if (windows.length > 0) this.#alarm.set(MINUTE - (at % MINUTE), this.#due)
    else this.#alarm.stop()
  }

  /** Called when the target has stopped although it must be kept awake. */
  retryLater(): void {
    this.#alarm.set(this.#retry, this.#due)
    this.#retry = Math.min(this.#retry * 2, MINUTE)
  }

  /** Called when the target became ready: resets the retry delay. */
  becameReady(): void {
    this.#retry = FIRST_RETRY
  }

  /** Keeps nothing awake from now on. */
  stop(): void {
    this.#stopped = true
    this.#alarm.stop()
  }
}

/** A cache of parsed patterns. Parsing costs far more than a look-up, and a policy is often a new object. */
const known = new Map<string, CronMinutes>()
const MAX_KNOWN = 1_000

function minutesOf({ cron, timeZone }: WarmWindow): CronMinutes {
  const name = `${timeZone} ${cron}`
  let minutes = known.get(name)
  if (!minutes) {
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(name, (minutes = cronMinutes(cron, timeZone)))
  }
  return minutes
}
