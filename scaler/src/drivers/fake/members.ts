import type { Clock } from '../../clock.ts'
import type { Members } from '../../coordination/members.ts'

const BEAT = 3_000
const LOST_AFTER = 12_000
const DEAD_AFTER = 20_000

/** Executes `work` at the store, through a connection that may be slow or broken. Rejects when the signal aborts. */
export type Ask = <T>(work: () => T, signal: AbortSignal) => Promise<T>

/** Fake `Members` of an embedder: heartbeats in a store, timed by the store's own clock. */
export class FakeMembers implements Members, Disposable {
  id: string
  lost: AbortSignal
  readonly #name: string
  readonly #store: Map<string, number>
  readonly #clock: Clock
  readonly #ask: Ask
  readonly #watchers = new Set<() => void>()
  #count = 1
  #loss = new AbortController()
  #cancelLoss = (): void => undefined
  #cancelBeat = (): void => undefined
  #ids = new Set<string>()
  #dead = new Set<string>()
  #closed = false

  /** `store`: the time of the last heartbeat by member id; shared by all members. */
  constructor(name: string, store: Map<string, number>, clock: Clock, ask: Ask) {
    this.#name = name
    this.#store = store
    this.#clock = clock
    this.#ask = ask
    this.id = `${name}.1`
    this.lost = this.#loss.signal
    store.set(this.id, clock.now())
    this.#renewed(clock.now())
    this.#read()
    this.#schedule()
  }

  isDead(id: string): boolean {
    return this.#dead.has(id)
  }

  watch(onChange: () => void): Disposable {
    this.#watchers.add(onChange)
    return { [Symbol.dispose]: () => void this.#watchers.delete(onChange) }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#cancelBeat()
    this.#cancelLoss()
    this.#store.delete(this.id)
  }

  #schedule(): void {
    this.#cancelBeat = this.#clock.schedule(BEAT, () => {
      const limit = new AbortController()
      const cancel = this.#clock.schedule(BEAT, () => limit.abort(new Error('too slow')))
      void this.#beat(limit.signal)
        .catch(() => undefined)
        .finally(() => {
          cancel()
          if (this.#closed) return
          for (const watcher of [...this.#watchers]) watcher()
          this.#schedule()
        })
    })
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const began = this.#clock.now()
    const back = this.#loss.signal.aborted
    if (this.#closed) return
    const id = back ? `${this.#name}.${++this.#count}` : this.id
    await this.#ask(() => {
      const seen = this.#store.get(id)
      const alive = seen !== undefined && this.#clock.now() - seen < DEAD_AFTER
      if (back || alive) this.#store.set(id, this.#clock.now())
      else this.#store.delete(id)
    }, signal)
    await this.#ask(() => this.#read(), signal)
    if (this.#closed) return
    if (!back && !this.#store.has(id)) this.#lose()
    if (back !== this.#loss.signal.aborted) return this.#beat(signal)
    if (back) {
      this.id = id
      this.#loss = new AbortController()
      this.lost = this.#loss.signal
    }
    this.#renewed(began)
  }

  #read(): void {
    const now = this.#clock.now()
    const living = [...this.#store].filter(([, seen]) => now - seen < DEAD_AFTER).map(([id]) => id)
    for (const id of [...this.#ids, ...this.#store.keys()]) if (!living.includes(id)) this.#dead.add(id)
    this.#ids = new Set(living)
  }

  #renewed(began: number): void {
    this.#cancelLoss()
    this.#cancelLoss = this.#clock.schedule(began + LOST_AFTER - this.#clock.now(), () => this.#lose())
  }

  #lose(): void {
    this.#cancelLoss()
    this.#loss.abort(new Error('lost'))
    for (const watcher of [...this.#watchers]) watcher()
  }
}
