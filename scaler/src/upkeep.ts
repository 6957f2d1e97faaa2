import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { cronMinutes, type CronMinutes } from './cron.ts'
import type { TargetPolicy, WarmWindow } from './types.ts'

const MINUTE = 60_000
/** Until a target that is to be kept awake is woken again after it ended, doubled each time. */
const FIRST_RETRY = 1_000

/** Which replicas of one target are kept awake though nobody uses them: `minReplicas`, and one in a warm window. */
export class Upkeep {
  readonly #clock: Clock
  readonly #policy: () => TargetPolicy
  readonly #alarm: Alarm
  readonly #due: () => void
  #warm = false
  #stopped = false
  #retry = FIRST_RETRY

  /** `due` is called when a window may have begun or ended, or a target should be tried again; it calls `look`. */
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

  get kept(): number {
    if (this.#stopped) return 0
    return Math.max(this.#policy().minReplicas, this.#warm ? 1 : 0)
  }

  /** Reads the time of day; comes back at the next minute while there are windows. No timer where there are none. */
  look(): void {
    const windows = this.#policy().warmWindows ?? []
    const at = this.#clock.wall()
    this.#warm = windows.some((window) => minutesOf(window).includes(at))
    if (windows.length > 0) this.#alarm.set(MINUTE - (at % MINUTE), this.#due)
    else this.#alarm.stop()
  }

  /** The target ended though it is to be kept awake. */
  lookSoon(): void {
    this.#alarm.set(this.#retry, this.#due)
    this.#retry = Math.min(this.#retry * 2, MINUTE)
  }

  /** It became ready: the next end is a new story. */
  settled(): void {
    this.#retry = FIRST_RETRY
  }

  /** For good: nothing is kept any more. */
  stop(): void {
    this.#stopped = true
    this.#alarm.stop()
  }
}

/** Reading a pattern and making its formatter costs far more than asking it; a policy object is often made anew. */
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
