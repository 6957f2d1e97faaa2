/** How many tasks may run and how many may wait: for each key, and for all keys together. */
export interface FairQueueLimits {
  readonly atOnce: number
  /** Default: `atOnce`. */
  readonly atOncePerKey?: number
  readonly waiting: number
  readonly waitingPerKey: number
}

/** Options of one wait for a turn. */
export interface EnterQueueOptions {
  /** Stops the wait. Has no effect on a running task. */
  readonly signal?: AbortSignal | undefined
  /** A second level of fairness: the values of `within` are served in turn within a key. Example: accounts within an address. */
  readonly within?: string
}

/** The right to run, until it is released. */
export interface Turn extends Disposable {
  /** Idempotent. */
  release(): void
}

/** The queue is full. `limit` says which limit was reached: that of this key, or that of all keys together. */
export class QueueFull extends Error {
  override readonly name = 'QueueFull'
  readonly limit: 'key' | 'total'
  /** The limit: how many may wait. */
  readonly most: number

  constructor(limit: 'key' | 'total', most: number) {
    super(
      `The queue already has the maximum of ${most} waiting tasks${limit === 'key' ? ' for this key' : ''}.`,
    )
    this.limit = limit
    this.most = most
  }
}

/**
 * Serves its keys in turn (round robin): a key with many tasks delays each other key by one turn at most. Within a key, tasks
 * run in order of arrival. When the queue is full, a new task of a key with few waiting tasks displaces the newest waiting task
 * of the key with the most: a single key cannot fill the whole queue.
 */
export class FairQueue {
  readonly #limits: FairQueueLimits
  /** In the order of their turns. A key without running and waiting tasks has no line. */
  readonly #lines = new Map<string, Line>()
  #running = 0
  #waiting = 0

  constructor(limits: FairQueueLimits) {
    this.#limits = limits
  }

  get running(): number {
    return this.#running
  }

  /** The number of waiting tasks of one key, or of all keys. */
  waiting(key?: string): number {
    return key === undefined ? this.#waiting : (this.#lines.get(key)?.size ?? 0)
  }

  /** Returns a turn immediately, or undefined if `enter` would have to wait or reject. */
  tryEnter(key: string): Turn | undefined {
    // While fewer tasks run than the total limit allows, only keys at their own limit have waiting tasks: no task is overtaken.
    if (this.#running >= this.#limits.atOnce || !this.#mayRun(this.#lines.get(key))) return undefined
    return this.#grant(key, this.#lineOf(key))
  }

  /** Waits for a turn. Rejects with QueueFull or the signal's reason. */
  async enter(key: string, options: EnterQueueOptions = {}): Promise<Turn> {
    const { signal, within = '' } = options
    signal?.throwIfAborted()
    const turn = this.tryEnter(key)
    if (turn) return turn
    this.#makeRoom(key)
    const line = this.#lineOf(key)
    return new Promise((resolve, reject) => {
      const leave = (reason: unknown): void => {
        signal?.removeEventListener('abort', abort)
        this.#drop(key, line, waiter)
        reject(reason as Error)
      }
      const abort = (): void => leave(signal?.reason)
      const waiter: Waiter = {
        within,
        refuse: leave,
        grant: () => {
          signal?.removeEventListener('abort', abort)
          resolve(this.#grant(key, line))
        },
      }
      line.push(waiter)
      this.#waiting++
      signal?.addEventListener('abort', abort)
    })
  }

  /** Waits for a turn and runs the task. Rejects with QueueFull, the signal's reason (while waiting), or the task's error. */
  async run<T>(key: string, task: () => T | Promise<T>, options: EnterQueueOptions = {}): Promise<T> {
    const turn = await this.enter(key, options)
    try {
      return await task()
    } finally {
      turn.release()
    }
  }

  #mayRun(line: Line | undefined): boolean {
    const { atOnce, atOncePerKey = atOnce } = this.#limits
    return (line?.running ?? 0) < atOncePerKey
  }

  #lineOf(key: string): Line {
    let line = this.#lines.get(key)
    if (!line) this.#lines.set(key, (line = new Line()))
    return line
  }

  #makeRoom(key: string): void {
    const { waiting, waitingPerKey } = this.#limits
    const own = this.waiting(key)
    if (own >= waitingPerKey) throw new QueueFull('key', waitingPerKey)
    if (this.#waiting < waiting) return
    const full = new QueueFull('total', waiting)
    let longest: Line | undefined
    for (const line of this.#lines.values()) if (line.size > (longest?.size ?? 0)) longest = line
    // With one more waiting task, this key would itself be among the longest.
    if (!longest || longest.size <= own + 1) throw full
    longest.newest.refuse(full)
  }

  #grant(key: string, line: Line): Turn {
    this.#running++
    line.running++
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      this.#running--
      line.running--
      this.#forgetIfEmpty(key, line)
      this.#next()
    }
    return { release, [Symbol.dispose]: release }
  }

  /** Called when a turn has been released: one more task may run. */
  #next(): void {
    if (this.#waiting === 0) return
    for (const [key, line] of this.#lines) {
      if (line.size === 0 || !this.#mayRun(line)) continue
      // Moved to the end: all other keys have their turn before this key has its next one.
      this.#lines.delete(key)
      this.#lines.set(key, line)
      this.#waiting--
      line.shift().grant()
      return
    }
  }

  #drop(key: string, line: Line, waiter: Waiter): void {
    line.delete(waiter)
    this.#waiting--
    this.#forgetIfEmpty(key, line)
  }

  #forgetIfEmpty(key: string, line: Line): void {
    if (line.size === 0 && line.running === 0) this.#lines.delete(key)
  }
}

interface Waiter {
  readonly within: string
  grant(): void
  refuse(reason: Error): void
}

/** The waiting tasks of one key, and how many of its tasks run. */
class Line {
  running = 0
  size = 0
  /** The waiting tasks by their `within`, in the order of their turns. No part is empty. */
  readonly #parts = new Map<string, Waiter[]>()

  push(waiter: Waiter): void {
    const part = this.#parts.get(waiter.within)
    if (part) part.push(waiter)
    else this.#parts.set(waiter.within, [waiter])
    this.size++
  }

  shift(): Waiter {
    const [within, part] = this.#parts.entries().next().value!
    this.#parts.delete(within)
    if (part.length > 1) this.#parts.set(within, part.slice(1))
    this.size--
    return part[0]!
  }

  /** The task that arrived last in the longest part. */
  get newest(): Waiter {
    let longest: Waiter[] = []
    for (const part of this.#parts.values()) if (part.length >= longest.length) longest = part
    return longest.at(-1)!
  }

  delete(waiter: Waiter): void {
    const rest = this.#parts.get(waiter.within)!.filter((other) => other !== waiter)
    if (rest.length > 0) this.#parts.set(waiter.within, rest)
    else this.#parts.delete(waiter.within)
    this.size--
  }
}
