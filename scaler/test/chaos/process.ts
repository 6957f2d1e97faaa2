import { ProcessClock, type FakeClock } from '../../src/drivers/fake/index.ts'
import type { Driver } from '../../src/types.ts'

/** The process of one activator: it can be stopped, continued and killed. */
export class Process {
  readonly clock: ProcessClock
  /** The driver as this process sees it. */
  readonly driver: Driver
  #isStopped = false
  #isKilled = false
  /** Until its timers have run. */
  #isBehind = false
  /** What the process handles first when it continues: requests, and reports of the driver. */
  #deferred: (() => void)[] = []
  readonly #timers = new Set<() => void>()
  readonly #watches: AsyncDisposable[] = []

  /** `unnoticed`: the clock does not show the pause until the timers have run. */
  constructor(clock: FakeClock, driver: Driver, unnoticed = false) {
    this.clock = new ProcessClock(clock)
    const schedule = this.clock.schedule.bind(this.clock)
    this.clock.schedule = (ms, fn) => {
      if (this.#isKilled) return () => undefined
      const cancel = schedule(ms, () => {
        this.#timers.delete(cancel)
        fn()
      })
      this.#timers.add(cancel)
      return () => {
        this.#timers.delete(cancel)
        cancel()
      }
    }
    if (unnoticed) {
      const { clock: own } = this
      const wall = own.wall.bind(own)
      let last = 0
      own.wall = () => (this.#isBehind ? last : (last = wall()))
      own.stop = () => {
        last = wall()
        ProcessClock.prototype.stop.call(own)
      }
    }
    this.driver = {
      name: driver.name,
      scale: (key, replicas, options) => driver.scale(key, replicas, options),
      probe: (key, endpoint, signal) => driver.probe!(key, endpoint, signal),
      watch: async (onChange) => {
        const watch = await driver.watch((key, state) => this.defer(() => onChange(key, state)))
        this.#watches.push(watch)
        return watch
      },
    }
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  stop(): void {
    this.#isStopped = this.#isBehind = true
    this.clock.stop()
  }

  /** Does it now, or when the process continues. */
  defer(act: () => void): void {
    if (this.#isStopped) this.#deferred.push(act)
    else act()
  }

  /** `before`: called after the deferred requests and before the timers. */
  continue(before: () => void): void {
    if (!this.#isStopped || this.#isKilled) return
    this.#isStopped = false
    for (const act of this.#deferred.splice(0)) act()
    before()
    this.clock.continue()
    this.#isBehind = false
  }

  /** Nothing runs in it any more. */
  kill(): void {
    this.#isKilled = true
    this.#deferred = []
    for (const cancel of this.#timers) cancel()
    for (const watch of this.#watches) void watch[Symbol.asyncDispose]()
  }
}
