import type { Slot } from './picker.ts'
import type { Endpoint, Lease, Phase } from './types.ts'

export type ColdStart = { readonly waited: number; readonly phases: readonly Phase[] }

/** A class rather than an object with closures, because one is created for every request. */
export class SlotLease implements Lease {
  readonly endpoint: Endpoint
  declare readonly coldStart?: ColdStart
  #slot: Slot | undefined
  readonly #giveBack: (slot: Slot) => void

  /** `giveBack` is called only once, however often the lease is released. */
  constructor(slot: Slot, giveBack: (slot: Slot) => void, coldStart?: ColdStart) {
    this.endpoint = slot.endpoint
    this.#slot = slot
    this.#giveBack = giveBack
    if (coldStart) this.coldStart = coldStart
  }

  release(): void {
    const slot = this.#slot
    if (!slot) return
    this.#slot = undefined
    this.#giveBack(slot)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
