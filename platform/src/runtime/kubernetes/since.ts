import type { Clock } from '@fp/scaler'
import type { KubernetesObject } from '@kubernetes/client-node'

/** Tracks how long objects have been seen, by this process's own clock, as clocks of machines may differ. */
export class Since {
  readonly #clock: Clock
  #since = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The objects that were seen at every call for at least `ms`. */
  longer<T extends KubernetesObject>(ms: number, objects: readonly T[]): T[] {
    const now = this.#clock.now()
    const before = this.#since
    const uidOf = ({ metadata }: T): string => metadata!.uid!
    this.#since = new Map(objects.map((one) => [uidOf(one), before.get(uidOf(one)) ?? now]))
    return objects.filter((one) => now - this.#since.get(uidOf(one))! >= ms)
  }
}
