import PQueue from 'p-queue'

/** A queue for each key: work of one key runs in order, work of different keys at the same time. Idle queues are removed. */
export class KeyedQueue {
  readonly #queues = new Map<string, PQueue>()

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#queue(key).add(work)
  }

  async idle(key: string): Promise<void> {
    await this.#queues.get(key)?.onIdle()
  }

  async allIdle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.onIdle()))
  }

  /** The number of keys that have work. */
  get size(): number {
    return this.#queues.size
  }

  #queue(key: string): PQueue {
    const known = this.#queues.get(key)
    if (known) return known
    const queue = new PQueue({ concurrency: 1 })
    this.#queues.set(key, queue)
    queue.addEventListener('idle', () => {
      if (queue.size === 0 && queue.pending === 0 && this.#queues.get(key) === queue) this.#queues.delete(key)
    })
    return queue
  }
}
