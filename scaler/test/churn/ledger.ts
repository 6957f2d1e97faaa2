import type { Answer } from './client.ts'

/** What was sent, what came of it, and what the apps say of it. */
export class Ledger {
  readonly #open = new Set<string>()
  readonly #answered = new Set<string>()
  readonly #arrivals = new Map<string, number>()
  readonly #waiting = new Map<string, () => void>()
  readonly #hit = new Set<string>()
  readonly #repeatable = new Set<string>()
  readonly #wrong: string[] = []
  #ids = 0

  get requests(): number {
    return this.#ids
  }

  /** A new request, which must be answered. */
  open(service: string): string {
    const id = `${service}-${++this.#ids}`
    this.#open.add(id)
    return id
  }

  /** An app has begun with it. */
  arrived(id: string): void {
    this.#arrivals.set(id, (this.#arrivals.get(id) ?? 0) + 1)
    this.#waiting.get(id)?.()
  }

  arrival(id: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  /** A crash came in its way: it may fail, in a clean way, or be `repeatable`: sent once more. */
  hit(id: string, repeatable: boolean): void {
    this.#hit.add(id)
    if (repeatable) this.#repeatable.add(id)
  }

  close(id: string, answer: Answer, right: Answer): void {
    this.#open.delete(id)
    if (same(answer, right)) this.#answered.add(id)
    else if (!this.#hit.has(id) || !isCleanFault(answer, right)) {
      this.#wrong.push(`${id}: ${JSON.stringify(answer)} instead of ${JSON.stringify(right)}`)
    }
  }

  /** Answered wrongly, in part or not at all, though no crash came in its way. */
  get lost(): string[] {
    return [...this.#wrong, ...this.#open]
  }

  get duplicated(): string[] {
    const most = (id: string): number => (this.#repeatable.has(id) ? 2 : 1)
    return [...this.#arrivals].filter(([id, times]) => times > most(id)).map(([id]) => id)
  }

  /** Answered though no app says that it was there: the count of duplicates could not be trusted. */
  get unseen(): string[] {
    return [...this.#answered].filter((id) => !this.#arrivals.has(id))
  }
}

export function same(one: Answer, other: Answer): boolean {
  return one.status === other.status && one.text === other.text && one.whole === other.whole
}

/** One error of the front's own, or a part of the right answer that is known to be but a part. */
function isCleanFault({ status, text, whole }: Answer, right: Answer): boolean {
  if (status === 502) return true
  return !whole && status === right.status && right.text.startsWith(text)
}
