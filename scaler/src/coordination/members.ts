import { ScalerError } from '../errors.ts'
import type { Alive, Beat, MemberId } from './ledger.ts'

/**
 * The processes that share the targets, for an embedder that already tracks which of them are alive. `lost` must abort in a
 * process before `isDead` returns true for this process anywhere else.
 */
export interface Members {
  /** The id of this process. After it was lost, a process must return with a new id. Ids are never reused. */
  readonly id: MemberId
  /** Aborts when other processes may consider this one dead. A new signal is set when the process is a member again. */
  readonly lost: AbortSignal
  /** Whether the member is permanently dead. An unknown id counts as alive. Must be synchronous and cheap. */
  isDead(id: MemberId): boolean
  /** Calls back when a member has died or left, when this process is lost or returns, and in any case every few seconds. */
  watch(onChange: () => void): Disposable
}

/** Which members are alive, and whether the other members consider this one alive. */
export interface Liveness {
  readonly id: MemberId
  /** The heartbeat count to store with locks that this member takes now. */
  readonly beats: Beat
  /** Aborts when the other members may no longer respect this member's locks: they may act on the targets from then on. */
  readonly fence: AbortSignal
  readonly alive: Alive
  /** Whether the other members respect a lock of this member with this heartbeat count. */
  isGood(beat: Beat | undefined): boolean
  close(signal?: AbortSignal): Promise<void>
}

export interface LivenessEvents {
  /** The other members may no longer respect this member's locks: it must not send any more requests. */
  lost(): void
  /** Time has passed, or a member has left: every lock must be checked again. */
  changed(): void
}

export function cutOff(): ScalerError {
  const message = 'This server cannot reach the other servers. Try again shortly.'
  return new ScalerError('SCALER_CUT_OFF', message, { retryAfter: 1 })
}

/** The heartbeat count of all locks. A constant is enough: a lost member returns with a new id, so locks of its id stay valid. */
const MARK: Beat = 1

/** Liveness according to the embedder's `Members`. */
export class EmbeddersLiveness implements Liveness {
  readonly beats = MARK
  readonly #members: Members
  readonly #events: LivenessEvents
  readonly #watch: Disposable
  #id: MemberId
  /** The id before the last loss. It counts as dead for this process, which may remove its locks. */
  #former: MemberId | undefined
  #fence = new AbortController()
  #lost: AbortSignal | undefined

  constructor(members: Members, events: LivenessEvents) {
    this.#members = members
    this.#events = events
    this.#id = members.id
    this.#follow()
    this.#watch = members.watch(() => {
      if (this.#fence.signal.aborted && !members.lost.aborted) this.#follow()
      this.#events.changed()
    })
  }

  get id(): MemberId {
    return this.#id
  }

  get fence(): AbortSignal {
    return this.#fence.signal
  }

  readonly alive: Alive = (id) => id === this.#id || (id !== this.#former && !this.#members.isDead(id))

  isGood(beat: Beat | undefined): boolean {
    return beat !== undefined && !this.#fence.signal.aborted
  }

  async close(): Promise<void> {
    this.#watch[Symbol.dispose]()
    this.#loseTrust()
  }

  #follow(): void {
    const { id, lost } = this.#members
    if (id !== this.#id) this.#former = this.#id
    this.#id = id
    this.#fence = new AbortController()
    if (lost.aborted) this.#loseTrust()
    else lost.addEventListener('abort', this.#loseTrust, { once: true })
    this.#lost = lost
  }

  readonly #loseTrust = (): void => {
    this.#lost?.removeEventListener('abort', this.#loseTrust)
    if (this.#fence.signal.aborted) return
    this.#fence.abort(cutOff())
    this.#events.lost()
  }
}
