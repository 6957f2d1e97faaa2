/** Something that an event stream may have to tell: an app or its draft, or a deployment, has changed. */
export type Change = { readonly appId: string } | { readonly deploymentId: string }

/**
 * A time of the database, as `<seconds>.<counter>`. It is the same in all replicas, so a client that has read events of one replica
 * can go on at another.
 */
export type Position = string

/** How many changes are remembered. A client that was away for more of them loads everything again. */
const MOST = 10_000

/** The last changes that this process has heard of, in their order, and who waits for more. */
export class ChangeLog {
  readonly #watchers = new Set<(change: Change | 'lost') => void>()
  #entries: { readonly change: Change; readonly at: Position }[] = []
  /** All changes after this are in the log. */
  #from: Position = '0.0'
  #position: Position = '0.0'

  /** The time of the last change. */
  get position(): Position {
    return this.#position
  }

  /** `at` is undefined for a change that is not one of the database, such as the beginning of a wake. */
  add(change: Change, at: Position = this.#position): void {
    this.#position = at
    this.#entries.push({ change, at })
    if (this.#entries.length > MOST) this.#from = this.#entries.shift()!.at
    this.#tell(change)
  }

  /** Changes before `position` may be missing. */
  lost(position: Position): void {
    this.#entries = []
    this.#from = this.#position = position
    this.#tell('lost')
  }

  /**
   * The changes after a position, and those at it: of several at one time, the client may have heard of some. Undefined if they are
   * not all known.
   */
  since(position: Position): readonly Change[] | undefined {
    if (compare(position, this.#from) < 0 || compare(position, this.#position) > 0) return undefined
    return this.#entries.filter(({ at }) => compare(at, position) >= 0).map(({ change }) => change)
  }

  watch(watcher: (change: Change | 'lost') => void): Disposable {
    this.#watchers.add(watcher)
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) }
  }

  #tell(change: Change | 'lost'): void {
    for (const watcher of [...this.#watchers]) watcher(change)
  }
}

export const isPosition = (text: string): boolean => /^\d{1,10}\.\d{1,10}$/.test(text)

function compare(one: Position, other: Position): number {
  const [seconds = 0, counter = 0] = one.split('.').map(Number)
  const [otherSeconds = 0, otherCounter = 0] = other.split('.').map(Number)
  return seconds - otherSeconds || counter - otherCounter
}
