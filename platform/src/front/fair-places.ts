import { Counters } from './counters.ts'

export interface PlaceLimits {
  readonly perKey: number
  readonly inAll: number
  /** Beyond `inAll`, a key that holds no place still gets one, up to this number: so a few who hold many lock nobody out. */
  readonly withFirst: number
}

/** Places for work that has no queue, by user or app. */
export class FairPlaces {
  readonly #limits: PlaceLimits
  readonly #taken = new Counters()

  constructor(limits: PlaceLimits) {
    this.#limits = limits
  }

  /** Returns a function that releases the place, or which limit was reached. */
  take(key: string): (() => void) | 'perKey' | 'inAll' {
    const { perKey, inAll, withFirst } = this.#limits
    const holdsNone = this.#taken.count(`of ${key}`) === 0
    const own = this.#taken.take(`of ${key}`, perKey)
    if (!own) return 'perKey'
    const all = this.#taken.take('all', holdsNone ? withFirst : inAll)
    if (all) return () => (own(), all())
    own()
    return 'inAll'
  }
}
