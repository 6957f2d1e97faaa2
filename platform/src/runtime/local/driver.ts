import type { Driver, Endpoint, ScaleOptions, TargetKey, TargetState } from '@fp/scaler'
import type { AppFailureReport, AppSpec } from '../runtime.ts'
import { Instance } from './instance.ts'
import { parseTargetKey } from '../targets.ts'
import type { InstanceEvent } from './protocol.ts'

export interface LocalDriverDeps {
  specOf(key: TargetKey): Promise<AppSpec>
  /** Starts a process for the spec that listens on `socket`; `onEvent` receives its events. */
  start(spec: AppSpec, id: string, socket: string, onEvent: (event: InstanceEvent) => void): Promise<void>
  /** The instance accepts no new connections and finishes its requests. */
  stop(id: string): void
  socketPath(id: string): string
  /** A process ended without a request to do so. */
  died(key: TargetKey, failure: AppFailureReport): void
  /** A process crashed while it was being stopped: the watchers of its target do not learn of it. */
  crashed(key: TargetKey, failure: AppFailureReport): void
}

/** Runs targets as processes of this machine, one replica each. */
export class LocalDriver implements Driver {
  readonly name = 'local'
  readonly #deps: LocalDriverDeps
  readonly #live = new Map<TargetKey, Instance>()
  readonly #watchers = new Set<(key: TargetKey, state: TargetState) => void>()
  /** Instances that are being stopped and have not ended yet. */
  readonly #stopping = new Set<Instance>()
  /** Begins with the time, so that no id of an earlier run is reused: logs contain the ids. */
  #sequence = Date.now()

  constructor(deps: LocalDriverDeps) {
    this.#deps = deps
  }

  async scale(key: TargetKey, replicas: number, { signal, remove = [] }: ScaleOptions): Promise<void> {
    signal.throwIfAborted()
    const live = this.#live.get(key)
    if (replicas === 0 || (live && remove.includes(live.id))) this.#stop(key)
    if (replicas > 0 && !this.#live.has(key)) await this.#start(key)
  }

  async probe(key: TargetKey, { id }: Endpoint, signal: AbortSignal): Promise<boolean> {
    const live = this.#live.get(key)
    return live?.id === id && live.answers(signal)
  }

  watch(onChange: (key: TargetKey, state: TargetState) => void): Promise<AsyncDisposable> {
    this.#watchers.add(onChange)
    for (const [key, instance] of this.#live) onChange(key, stateOf(instance))
    return Promise.resolve({
      [Symbol.asyncDispose]: () => {
        this.#watchers.delete(onChange)
        return Promise.resolve()
      },
    })
  }

  /** Whether a process of this version exists, starting and ending ones included. */
  runs(appId: string, version: number): boolean {
    const isOf = (key: TargetKey): boolean => {
      const target = parseTargetKey(key)
      return target.appId === appId && target.version === version
    }
    return [...this.#live.keys()].some(isOf) || [...this.#stopping].some(({ key }) => isOf(key))
  }

  /** Live and stopping processes. */
  get count(): number {
    return this.#live.size + this.#stopping.size
  }

  stopAll(): void {
    for (const key of [...this.#live.keys()]) this.#stop(key)
  }

  async #start(key: TargetKey): Promise<void> {
    const id = `${key}-${(++this.#sequence).toString(36)}`
    const socket = this.#deps.socketPath(id)
    const instance = new Instance(key, id, socket, {
      progress: () => this.#progress(key, instance),
      ended: (failure) => this.#ended(key, instance, failure),
    })
    this.#live.set(key, instance)
    try {
      const spec = await this.#deps.specOf(key)
      // The instance may have been stopped while the spec was read.
      if (this.#live.get(key) !== instance) {
        this.#stopping.delete(instance)
        return
      }
      await this.#deps.start(spec, id, socket, (event) => instance.handle(event))
    } catch (error) {
      if (this.#live.get(key) === instance) this.#live.delete(key)
      this.#stopping.delete(instance)
      throw error
    }
    if (instance.state === 'stopping') this.#deps.stop(id)
  }

  #stop(key: TargetKey): void {
    const instance = this.#live.get(key)
    if (!instance) return
    instance.state = 'stopping'
    this.#live.delete(key)
    this.#stopping.add(instance)
    this.#say(key, { ready: [] })
    this.#deps.stop(instance.id)
  }

  #ended(key: TargetKey, instance: Instance, failure: AppFailureReport | undefined): void {
    if (failure) this.#deps.died(key, failure)
    if (this.#stopping.delete(instance)) {
      if (failure) this.#deps.crashed(key, failure)
      return
    }
    if (this.#live.get(key) !== instance) return
    this.#live.delete(key)
    this.#say(key, { ready: [], ...(failure ? { failure: { ...failure, details: failure } } : {}) })
  }

  #progress(key: TargetKey, instance: Instance): void {
    if (this.#live.get(key) === instance) this.#say(key, stateOf(instance))
  }

  #say(key: TargetKey, state: TargetState): void {
    for (const watcher of [...this.#watchers]) watcher(key, state)
  }
}

function stateOf(instance: Instance): TargetState {
  return { ready: instance.state === 'ready' ? [instance.endpoint] : [], phases: [...instance.phases] }
}
