import type { Events } from '../src/events.ts'
import type { AppFailureReport } from '../src/runtime/runtime.ts'
import { parseTargetKey, TargetFailed, type Targets } from '../src/runtime/targets.ts'

export interface HeldWake {
  readonly key: string
  succeed(): void
  fail(failure: AppFailureReport): void
}

const USER = 'u_ann'

/** Targets without processes. `hold` makes every wake wait until the test lets it go. */
export class HeldTargets implements Targets {
  hold = false
  readonly awake = new Set<string>()
  readonly busy = new Set<string>()
  /** In the order of retirement. */
  readonly retired: string[] = []
  readonly woken: string[] = []
  readonly #events: Events
  readonly #held: HeldWake[] = []
  readonly #waking = new Set<string>()
  #waiting: ((wake: HeldWake) => void)[] = []

  constructor(events: Events) {
    this.#events = events
  }

  /** The next wake that is held, once there is one. */
  next(): Promise<HeldWake> {
    const held = this.#held.shift()
    return held ? Promise.resolve(held) : new Promise((resolve) => this.#waiting.push(resolve))
  }

  async wake(key: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.woken.push(key)
    if (this.awake.has(key)) return
    if (this.hold) await this.#wait(key, options.signal)
    this.awake.add(key)
    this.#events.emit('app.woke', { ...parseTargetKey(key), userId: USER })
  }

  #wait(key: string, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waking.add(key)
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    const wake: HeldWake = {
      key,
      succeed: resolve,
      fail: (failure) => {
        this.#events.emit('app.failed', { ...parseTargetKey(key), userId: USER, failure })
        reject(new TargetFailed(failure))
      },
    }
    const waiting = this.#waiting.shift()
    if (waiting) waiting(wake)
    else this.#held.push(wake)
    return promise.finally(() => this.#waking.delete(key))
  }

  async sleep(key: string): Promise<boolean> {
    if (this.busy.has(key)) return false
    if (this.awake.delete(key)) this.#events.emit('app.slept', { ...parseTargetKey(key), userId: USER })
    return true
  }

  async retire(key: string): Promise<void> {
    this.retired.push(key)
    await this.sleep(key)
  }

  async phases(keys: readonly string[]): Promise<('asleep' | 'waking' | 'awake')[]> {
    return keys.map((key) => this.phase(key))
  }

  phase(key: string): 'asleep' | 'waking' | 'awake' {
    if (this.#waking.has(key)) return 'waking'
    return this.awake.has(key) ? 'awake' : 'asleep'
  }
}
