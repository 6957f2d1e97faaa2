import { ScalerError } from '../errors.ts'
import type { TargetKey } from '../types.ts'
import { EMPTY, hasMember, withoutDead, type Alive, type Ledger } from './ledger.ts'
import type { MemberId } from './members.ts'

/** The parts of a member that a copy uses. */
export interface LedgerSource {
  readonly id: MemberId
  readonly alive: Alive
  update(
    key: TargetKey,
    change: (ledger: Ledger | undefined) => Ledger | undefined,
  ): Promise<Ledger | undefined>
  failed(error: Error): void
}

/** The newest ledger of one target that this activator knows, from its own updates and from notifications, in either order. */
export class LedgerCopy {
  readonly #key: TargetKey
  readonly #source: LedgerSource
  #ledger: Ledger
  /** The id of the document in the last notification. */
  #notifiedBorn: string | undefined
  /** The id of the last document whose deletion was notified. */
  #deletedBorn: string | undefined
  /**
   * An update has failed: the store may have executed it, or may still do so. The next update writes in any case, so that the
   * failed one can no longer succeed.
   */
  #unsure = false
  #openSteps = 0

  constructor(key: TargetKey, source: LedgerSource, ledger: Ledger | undefined) {
    this.#key = key
    this.#source = source
    this.#ledger = ledger ?? EMPTY
  }

  get current(): Ledger {
    return this.#ledger
  }

  /** The ledger without dead members. */
  get living(): Ledger {
    return withoutDead(this.#ledger, this.#source.alive)
  }

  get isUnsure(): boolean {
    return this.#unsure
  }

  /** Whether the stored ledger may have an entry of this activator. */
  get mayHaveEntry(): boolean {
    return this.#openSteps > 0 || this.#unsure || hasMember(this.#ledger, this.#source.id)
  }

  /** Handles a notification. */
  news(ledger: Ledger | undefined): void {
    if (ledger) {
      this.#notifiedBorn = ledger.born
      this.#accept(ledger)
      return
    }
    // The deleted document is the one of the last notification. The result of an update may already have brought a newer one.
    this.#deletedBorn = this.#notifiedBorn
    if (this.#ledger.born === this.#deletedBorn) this.#ledger = EMPTY
  }

  /** Updates the stored ledger, and resolves to it. `change` gets it without dead members. */
  async step(change: (now: Ledger) => Ledger | undefined): Promise<Ledger> {
    this.#openSteps++
    const { born } = this.#ledger
    try {
      const ledger = await this.#source.update(this.#key, (now) => {
        const living = withoutDead(now, this.#source.alive)
        const next = change(living)
        if (next !== living || living !== (now ?? EMPTY)) return next
        // An earlier failed update may still be running. This one writes in any case, which makes its compare-and-swap fail.
        return this.#unsure ? { ...living } : now
      })
      this.#unsure = false
      // Newer notifications may have arrived before this result, even that of the document's deletion.
      if (ledger && ledger.born !== this.#deletedBorn) this.#accept(ledger)
      // The document was deleted, and the notification of that may have got lost.
      if (!ledger && this.#ledger.born === born) this.#ledger = EMPTY
      return ledger ?? EMPTY
    } catch (error) {
      // A ledger of a newer version was not touched.
      if (!(error instanceof ScalerError)) this.#unsure = true
      this.#source.failed(error as Error)
      throw error
    } finally {
      this.#openSteps--
    }
  }

  #accept(ledger: Ledger): void {
    const isOlder = ledger.born === this.#ledger.born && ledger.revision < this.#ledger.revision
    if (!isOlder) this.#ledger = ledger
  }
}
