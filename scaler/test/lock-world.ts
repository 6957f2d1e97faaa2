import { written, type Ledger } from '../src/coordination/ledger.ts'
import type { Standing } from '../src/coordination/lock-state.ts'
import { SharedTargetLock } from '../src/coordination/target-lock.ts'
import type { Demand } from '../src/target-lock.ts'

/** One ledger, and the locks of several activators on its target. */
export class LockWorld {
  stored: Ledger | undefined
  /** The number of updates. */
  updates = 0
  readonly #dead = new Set<string>()
  readonly #locks: SharedTargetLock[] = []

  constructor(stored?: Ledger) {
    this.stored = stored
  }

  join(id: string) {
    const told: string[] = []
    const demand: Demand = { endpoints: ['e1'], concurrency: 2, load: {}, waiting: 0 }
    const member = {
      id,
      isTrusted: true,
      standing: 'trusted' as Standing,
      alive: (other: string) => !this.#dead.has(other),
      check: () => undefined,
      failed: () => void told.push('failed'),
      forget: () => void told.push('forget'),
      /** Called before an update reaches the store, and before its answer returns. */
      onWrite: undefined as (() => Promise<void>) | undefined,
      onAnswer: undefined as (() => Promise<void>) | undefined,
      isDeaf: false,
      update: async (_key: string, change: (now: Ledger | undefined) => Ledger | undefined) => {
        this.updates++
        await member.onWrite?.()
        const next = change(this.stored)
        if (next !== this.stored) {
          this.stored = next && written(next)
          for (const each of this.#locks) each.news(this.stored)
        }
        const { stored } = this
        await member.onAnswer?.()
        return stored
      },
    }
    const it = { member, told, demand }
    const lock = new SharedTargetLock(
      'app',
      member,
      {
        changed: () => undefined,
        retired: () => told.push('retired'),
        demand: () => it.demand,
      },
      this.stored,
    )
    const hears = { news: (now: Ledger | undefined) => member.isDeaf || lock.news(now) }
    this.#locks.push(hears as SharedTargetLock)
    return Object.assign(it, { lock })
  }

  die(id: string): void {
    this.#dead.add(id)
  }

  get shares(): string[] {
    return Object.keys(this.stored?.shares ?? {})
  }
}
