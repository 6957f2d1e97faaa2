import { EventEmitter } from 'node:events'
import type { AppFailureReport } from './runtime/runtime.ts'
import type { TargetId } from './runtime/targets.ts'

/** Of one target. The target need not be the live one: targets that are deployed or retired have events too. */
export interface TargetEvent extends TargetId {
  /** The app's owner. */
  readonly userId: string
}

/**
 * What has happened, for whoever wants to know. Every event names its user, so that a user's own events can be told apart.
 * Commands are calls, not events; what caches must forget is told by `AppChanges`.
 */
export interface PlatformEvents {
  /** The target could not start, or ended without being told to. */
  'app.failed': TargetEvent & { readonly failure: AppFailureReport }
  /** Something happened to a target that is starting; `message` is for the owner. */
  'app.progress': TargetEvent & { readonly message: string }
  'app.woke': TargetEvent
  'app.slept': TargetEvent
  'app.deleted': { readonly userId: string; readonly appId: string }
  'deployment.live': {
    readonly userId: string
    readonly appId: string
    readonly version: number
    readonly deploymentId: string
  }
  /** What a user must know of the user's database. */
  'database.notice': { readonly userId: string; readonly message: string }
}

export type EventName = keyof PlatformEvents
export type PlatformEvent = {
  [N in EventName]: { readonly name: N; readonly payload: PlatformEvents[N] }
}[EventName]

type Listeners = { [N in EventName]: [PlatformEvents[N]] }
type AnyListener = (event: PlatformEvent) => void

/** The bus of one process. Events of the gate reach the API's bus over their channel. */
export class Events extends EventEmitter<Listeners> {
  readonly #any = new Set<AnyListener>()

  constructor() {
    super()
    this.setMaxListeners(100)
  }

  override emit<N extends EventName>(name: N, ...args: Listeners[N]): boolean {
    const event = { name, payload: args[0] } as PlatformEvent
    for (const listener of [...this.#any]) listener(event)
    return super.emit(name, ...(args as never))
  }

  /** Hears every event. Returns the function that ends this. */
  onAny(listener: AnyListener): () => void {
    this.#any.add(listener)
    return () => void this.#any.delete(listener)
  }

  /** Publishes an event that another process has published. */
  publish({ name, payload }: PlatformEvent): void {
    this.emit(name, payload as never)
  }
}
