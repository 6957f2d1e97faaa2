import { EventEmitter } from 'node:events'
import type { AppFailureReport } from './runtime/runtime.ts'
import type { TargetId } from './runtime/targets.ts'

/** An event of one target. It need not be the live one: targets that are being deployed or retired have events too. */
export interface TargetEvent extends TargetId {
  /** The app's owner. Null: MongoDB did not answer when the owner was looked up. */
  readonly userId: string | null
}

/**
 * Events of the platform. Each has the user it concerns, where that is known. Commands are calls and not events. `AppChanges`
 * informs caches about changes.
 */
export interface PlatformEvents {
  /** The target could not start, or ended by itself. */
  'app.failed': TargetEvent & { readonly failure: AppFailureReport }
  /** A step of a target's start. `message` is for the owner. */
  'app.progress': TargetEvent & { readonly message: string }
  /** A wake has begun. */
  'app.waking': TargetEvent
  'app.woke': TargetEvent
  'app.slept': TargetEvent
  'app.deleted': { readonly userId: string; readonly appId: string }
  'deployment.live': {
    readonly userId: string
    readonly appId: string
    readonly version: number
    readonly deploymentId: string
  }
  /** A message to a user about the user's database. */
  'database.notice': { readonly userId: string; readonly message: string }
}

export type EventName = keyof PlatformEvents
export type PlatformEvent = {
  [N in EventName]: { readonly name: N; readonly payload: PlatformEvents[N] }
}[EventName]

type Listeners = { [N in EventName]: [PlatformEvents[N]] }
type AnyListener = (event: PlatformEvent) => void

/**
 * The event bus of one process. A listener that throws neither stops the emitter nor keeps the event from other listeners. Events of the gate
 * reach the API's bus over their channel.
 */
export class Events extends EventEmitter<Listeners> {
  readonly #any = new Set<AnyListener>()

  readonly #onError: (error: unknown, name: EventName) => void

  constructor(onError: (error: unknown, name: EventName) => void) {
    super()
    this.#onError = onError
    this.setMaxListeners(100)
  }

  override emit<N extends EventName>(name: N, ...args: Listeners[N]): boolean {
    const event = { name, payload: args[0] } as PlatformEvent
    const own = this.rawListeners(name) as ((payload: unknown) => void)[]
    const listeners = [
      ...[...this.#any].map((listener) => () => listener(event)),
      ...own.map((listener) => () => listener.call(this, event.payload)),
    ]
    for (const call of listeners) {
      try {
        call()
      } catch (error) {
        this.#onError(error, name)
      }
    }
    return listeners.length > 0
  }

  /** Adds a listener for all events. Returns a function that removes it. */
  onAny(listener: AnyListener): () => void {
    this.#any.add(listener)
    return () => void this.#any.delete(listener)
  }

  /** Emits an event that was built elsewhere, e.g. in another process. */
  publish({ name, payload }: PlatformEvent): void {
    this.emit(name, payload as never)
  }
}
