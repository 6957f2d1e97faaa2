import type { Driver, Endpoint, Failure, Phase, ScaleOptions, TargetKey, TargetState } from '../../types.ts'
export { FakeClock, ProcessClock, settle } from './clock.ts'
export { FakeCoordination, type Direction, type FakeConnection } from './coordination.ts'

/** A recorded call of `scale`. */
export interface ScaleCall {
  readonly key: TargetKey
  readonly replicas: number
  readonly remove?: readonly string[]
}

/** A driver without processes: the test decides when a target is ready, fails or disappears. */
export class FakeDriver implements Driver {
  readonly name = 'fake'
  readonly calls: ScaleCall[] = []
  /** Called for each scale call; a returned promise delays its acceptance. */
  onScale: ((call: ScaleCall, signal: AbortSignal) => Promise<void> | void) | undefined
  /** The result of each probe. Default: whether the last report lists the endpoint. */
  onProbe:
    ((endpoint: Endpoint, key: TargetKey, signal: AbortSignal) => Promise<boolean> | boolean) | undefined
  /** The ids of the probed endpoints, in order. */
  readonly probes: string[] = []
  /** Whether the reports count as up to date. */
  current = true
  /** If true, endpoints are still reported after a scale to zero was accepted, as in a cluster. `crash` removes them. */
  lingers = false
  readonly #ready = new Map<TargetKey, Endpoint[]>()
  readonly #reported = new Map<TargetKey, readonly Endpoint[]>()
  readonly #watchers = new Set<(key: TargetKey, state: TargetState) => void>()
  #sequence = 0

  async scale(key: TargetKey, replicas: number, { signal, remove }: ScaleOptions): Promise<void> {
    signal.throwIfAborted()
    const call = { key, replicas, ...(remove?.length ? { remove } : {}) }
    this.calls.push(call)
    if (replicas === 0 && !this.lingers) this.#set(key, [])
    else if (remove?.length) this.#remove(key, remove)
    await this.onScale?.(call, signal)
  }

  watch(onChange: (key: TargetKey, state: TargetState) => void): Promise<AsyncDisposable> {
    this.#watchers.add(onChange)
    for (const [key, ready] of this.#ready) onChange(key, { ready })
    return Promise.resolve({
      [Symbol.asyncDispose]: () => {
        this.#watchers.delete(onChange)
        return Promise.resolve()
      },
    })
  }

  async probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean> {
    this.probes.push(endpoint.id)
    if (this.onProbe) return this.onProbe(endpoint, key, signal)
    return (this.#reported.get(key) ?? []).some(({ id }) => id === endpoint.id)
  }

  isCurrent(): boolean {
    return this.current
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** Makes a target ready with this many new endpoints, which replace its previous ones. */
  ready(key: TargetKey, count = 1, phases?: readonly Phase[]): Endpoint[] {
    const endpoints = this.#make(key, count)
    this.#set(key, endpoints, phases ? { phases } : {})
    return endpoints
  }

  /** Adds new endpoints until there are this many. */
  grow(key: TargetKey, count: number): void {
    const ready = this.#ready.get(key) ?? []
    if (ready.length < count) this.#set(key, [...ready, ...this.#make(key, count - ready.length)])
  }

  /** Reports that the target has no endpoints, with this failure. */
  fail(key: TargetKey, failure: Failure): void {
    this.#set(key, [], { failure })
  }

  /** Removes these endpoints without a scale call; all of the target if no ids are given. */
  crash(key: TargetKey, ...ids: string[]): void {
    if (ids.length > 0) this.#remove(key, ids)
    else this.#set(key, [])
  }

  /** Reports any state, regardless of the fake's own state: for late and contradictory reports. */
  emit(key: TargetKey, state: TargetState): void {
    this.#reported.set(key, state.ready)
    for (const watcher of [...this.#watchers]) watcher(key, state)
  }

  #make(key: TargetKey, count: number): Endpoint[] {
    return Array.from({ length: count }, () => {
      const id = `${key}-${++this.#sequence}`
      return { id, url: new URL(`unix:/fake/${encodeURIComponent(id)}`) }
    })
  }

  #remove(key: TargetKey, ids: readonly string[]): void {
    this.#set(
      key,
      (this.#ready.get(key) ?? []).filter(({ id }) => !ids.includes(id)),
    )
  }

  #set(key: TargetKey, ready: Endpoint[], rest: Omit<TargetState, 'ready'> = {}): void {
    if (ready.length > 0) this.#ready.set(key, ready)
    else this.#ready.delete(key)
    this.emit(key, { ready, ...rest })
  }
}
