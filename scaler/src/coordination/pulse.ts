import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'

/** ms between two pulses. */
const PULSE = 2_000
/**
 * ms without a pulse that count as a pause. A member counts itself as lost 12 s after its last heartbeat, and others do so after
 * 20 s. If this process could not notice the former in time, its timers have not run for more than this.
 */
const PAUSE = 6_000

/**
 * Notices that the whole process was stopped for a while (SIGSTOP, a suspended machine, a blocked event loop). After such a pause
 * requests may arrive before the timers that are due.
 */
export class Pulse {
  readonly #clock: Clock
  readonly #alarm: Alarm
  readonly #onPause: () => void
  #last = 0
  /** By the time of day, as the monotonic clock stops with the machine. */
  #lateFrom = 0

  constructor(clock: Clock, onPause: () => void) {
    this.#clock = clock
    this.#alarm = new Alarm(clock)
    this.#onPause = onPause
    this.#reset()
    this.#arm()
  }

  /** Calls `onPause` if the process was stopped. Cheap, because it is called for each request. */
  check(): void {
    if (this.#clock.wall() < this.#lateFrom) return
    this.#reset()
    this.#onPause()
  }

  /** Whether the timers that became due during a pause have not run yet. */
  get isOverdue(): boolean {
    return this.#clock.now() - this.#alarm.due >= PULSE
  }

  stop(): void {
    this.#alarm.stop()
  }

  #arm(): void {
    this.#alarm.set(PULSE, () => {
      // Somebody may have set the time of day back during the pause.
      if (this.#clock.now() - this.#last >= PAUSE) this.#lateFrom = -Infinity
      this.check()
      this.#reset()
      this.#arm()
    })
  }

  #reset(): void {
    this.#last = this.#clock.now()
    this.#lateFrom = this.#clock.wall() + PAUSE
  }
}
