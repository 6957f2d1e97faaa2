import type { Clock } from '../../src/clock.ts'
import type { Driver, Endpoint, Failure, ScaleOptions, TargetKey, TargetState } from '../../src/types.ts'

/** How a replica came to its end. */
export type End = 'crashed' | 'stopped'

export interface Replica {
  readonly id: string
  readonly key: TargetKey
  ready: boolean
  ended: End | undefined
  /** It has ended, and the driver has not noticed. */
  isListed: boolean
}

type OnChange = (key: TargetKey, state: TargetState) => void

const FAILURE: Failure = { code: 'IMPORT_ERROR', message: 'It cannot be started.' }

/** A driver that takes its time, whose news arrive late, and that keeps the truth about every replica it ever had. */
export class ChaosDriver implements Driver {
  readonly name = 'chaos'
  readonly replicas = new Map<string, Replica>()
  /** ms until a scale call is accepted, a replica is ready, a watcher hears of it. */
  acceptance = 0
  start = 0
  news = 0
  /** Replicas that start now fail instead of becoming ready. */
  failing = false
  /** It starts no more replicas of a target than this. */
  most = Infinity
  /** Replicas do not answer probes. */
  hanging = false
  /** Scale calls are refused. */
  refusing = false
  /** Called in the instant in which replicas are told to stop. */
  onStop: (stopped: readonly Replica[]) => void = () => undefined
  readonly #clock: Clock
  readonly #wanted = new Map<TargetKey, number>()
  readonly #watchers = new Set<{ onChange: OnChange; due: number }>()
  #sequence = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get watchers(): number {
    return this.#watchers.size
  }

  async scale(key: TargetKey, replicas: number, { signal, remove = [] }: ScaleOptions): Promise<string[]> {
    signal.throwIfAborted()
    if (this.acceptance > 0) {
      await new Promise<void>((resolve, reject) => {
        const aborted = (): void => reject(signal.reason as Error)
        this.#clock.schedule(this.acceptance, resolve)
        signal.addEventListener('abort', aborted, { once: true })
      })
      signal.throwIfAborted()
    }
    if (this.refusing) throw new Error('refused by the driver')
    this.#wanted.set(key, Math.min(replicas, this.most))
    const stopped = this.#stopSome(key, replicas, remove)
    this.#startSome(key)
    return stopped.map(({ id }) => id)
  }

  async probe(_key: TargetKey, { id }: Endpoint, signal: AbortSignal): Promise<boolean> {
    if (this.replicas.get(id)?.ended) return false
    if (!this.hanging) return true
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  }

  watch(onChange: OnChange): Promise<AsyncDisposable> {
    const watcher = { onChange, due: 0 }
    this.#watchers.add(watcher)
    for (const key of new Set([...this.replicas.values()].map((replica) => replica.key)))
      onChange(key, this.#state(key))
    return Promise.resolve({
      [Symbol.asyncDispose]: () => {
        this.#watchers.delete(watcher)
        return Promise.resolve()
      },
    })
  }

  /** One of its ready replicas ends by itself. With the last one the target is down until it is scaled again. */
  crash(key: TargetKey): Replica | undefined {
    const replica = this.alive(key).find(({ ready }) => ready)
    if (!replica) return undefined
    replica.ended = 'crashed'
    if (this.alive(key).length === 0) this.#wanted.set(key, 0)
    this.#startSome(key)
    this.#tell(key)
    return replica
  }

  /** One of its ready replicas ends, and the driver does not notice until it is told to stop that one. */
  vanish(key: TargetKey): Replica | undefined {
    const replica = this.alive(key).find(({ ready }) => ready)
    if (replica) Object.assign(replica, { ended: 'crashed', isListed: true })
    return replica
  }

  #listed(key: TargetKey): Replica[] {
    return [...this.replicas.values()].filter((replica) => replica.key === key && replica.isListed)
  }

  alive(key: TargetKey): Replica[] {
    return [...this.replicas.values()].filter((replica) => replica.key === key && !replica.ended)
  }

  #stopSome(key: TargetKey, replicas: number, remove: readonly string[]): Replica[] {
    const alive = this.alive(key)
    const named = alive.filter(({ id }) => remove.includes(id))
    const rest = alive.filter((replica) => !named.includes(replica))
    const starting = rest.filter(({ ready }) => !ready)
    const surplus = Math.max(0, rest.length - replicas)
    const stopped = replicas === 0 ? alive : [...named, ...starting.slice(0, surplus)]
    const noticed = this.#listed(key).filter(({ id }) => replicas === 0 || remove.includes(id))
    for (const replica of noticed) replica.isListed = false
    if (stopped.length === 0 && noticed.length === 0) return []
    this.onStop(stopped)
    for (const replica of stopped) replica.ended = 'stopped'
    this.#tell(key)
    return [...stopped, ...noticed]
  }

  #startSome(key: TargetKey): void {
    const missing = (this.#wanted.get(key) ?? 0) - this.alive(key).length - this.#listed(key).length
    for (let count = 0; count < missing; count++) {
      const replica: Replica = {
        id: `${key}-${++this.#sequence}`,
        key,
        ready: false,
        ended: undefined,
        isListed: false,
      }
      this.replicas.set(replica.id, replica)
      this.#clock.schedule(this.start, () => this.#started(replica))
    }
  }

  #started(replica: Replica): void {
    if (replica.ended) return
    if (!this.failing) {
      replica.ready = true
      this.#tell(replica.key)
      return
    }
    replica.ended = 'crashed'
    if (this.alive(replica.key).length === 0) this.#wanted.set(replica.key, 0)
    this.#tell(replica.key, FAILURE)
  }

  #state(key: TargetKey, failure?: Failure): TargetState {
    const ready = [...this.alive(key).filter((replica) => replica.ready), ...this.#listed(key)]
    const endpoints = ready.map(({ id }) => ({ id, url: new URL(`unix:/chaos/${encodeURIComponent(id)}`) }))
    return { ready: endpoints, ...(failure && endpoints.length === 0 ? { failure } : {}) }
  }

  /** Each watcher hears of each state in its order, `news` ms late. */
  #tell(key: TargetKey, failure?: Failure): void {
    const state = this.#state(key, failure)
    for (const watcher of this.#watchers) {
      watcher.due = Math.max(watcher.due, this.#clock.now() + this.news)
      const delay = watcher.due - this.#clock.now()
      const tell = (): void => {
        if (this.#watchers.has(watcher)) watcher.onChange(key, state)
      }
      if (delay === 0) tell()
      else this.#clock.schedule(delay, tell)
    }
  }
}
