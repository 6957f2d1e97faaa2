import { ScalerError } from '../errors.ts'
import type { Alive, Beat, MemberId } from './ledger.ts'

/**
 * The processes that share the targets, for an embedder that knows already which of them live. Every process must stop
 * its work (`lost`) before any other calls it dead (`isDead`).
 */
export interface Members {
  /** This process. A process that was lost comes back under another id. No id is used twice. */
  readonly id: MemberId
  /** Fires when the others may count this member as dead. Another signal once the process is a member again. */
  readonly lost: AbortSignal
  /** Whether the member is dead, for good. An id that is not known yet is alive. Synchronous and cheap. */
  isDead(id: MemberId): boolean
  /** Calls back when a member has died or left, at every loss and return of this one, and every few seconds besides. */
  watch(onChange: () => void): Disposable
}

/** Which members live, and whether the others count on this one. */
export interface Liveness {
  readonly id: MemberId
  /** The mark of the shares that this member takes now. */
  readonly beats: Beat
  /** Fires when trust is lost: another activator may act on the targets from then on. */
  readonly fence: AbortSignal
  readonly alive: Alive
  /** Whether the others respect a share with this mark. */
  isGood(beat: Beat | undefined): boolean
  close(signal?: AbortSignal): Promise<void>
}

export interface LivenessEvents {
  /** From this instant on nothing more may be sent. */
  lost(): void
  /** Time has passed, or a member has left: every lock looks again. */
  changed(): void
}

export function cutOff(): ScalerError {
  const message = 'This server cannot reach the others. Try again shortly.'
  return new ScalerError('SCALER_CUT_OFF', message, { retryAfter: 1 })
}

/** The mark of all shares: where a member comes back under another id, a share of its own id is never void. */
const MARK: Beat = 1

/** The liveness that the embedder's members give. */
export class EmbeddersLiveness implements Liveness {
  readonly beats = MARK
  readonly #members: Members
  readonly #events: LivenessEvents
  readonly #watch: Disposable
  #id: MemberId
  /** The id before the last loss. Its shares are this process's own to clear away. */
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
