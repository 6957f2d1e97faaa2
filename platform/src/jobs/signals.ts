/** Lets callers wait for changes by name. The empty name stands for every change. */
export class Signals {
  readonly #watchers = new Map<string, Set<() => void>>()

  fire(name: string): void {
    for (const watched of new Set([name, '']))
      for (const watcher of [...(this.#watchers.get(watched) ?? [])]) watcher()
  }

  fireAll(): void {
    for (const name of [...this.#watchers.keys()]) this.fire(name)
  }

  /** Watches for changes from this call on, until the result is disposed of. */
  watch(name: string): Signal {
    let changed = false
    let wake = (): void => undefined
    const watcher = (): void => {
      changed = true
      wake()
    }
    const watchers = this.#watchers.get(name) ?? new Set()
    this.#watchers.set(name, watchers.add(watcher))
    return {
      async next(signal, patience) {
        signal?.throwIfAborted()
        const late = AbortSignal.timeout(patience)
        if (!changed)
          await new Promise<void>((resolve, reject) => {
            const end = (): void => {
              signal?.removeEventListener('abort', give)
              late.removeEventListener('abort', end)
              resolve()
            }
            const give = (): void => reject(signal!.reason as Error)
            signal?.addEventListener('abort', give, { once: true })
            late.addEventListener('abort', end, { once: true })
            wake = end
          })
        changed = false
      },
      [Symbol.dispose]: () => {
        watchers.delete(watcher)
        if (watchers.size === 0 && this.#watchers.get(name) === watchers) this.#watchers.delete(name)
      },
    }
  }
}

export interface Signal extends Disposable {
  /**
   * Resolves when something has changed since the last call, several changes being one, or after `patience` ms. Rejects when
   * the signal aborts.
   */
  next(signal: AbortSignal | undefined, patience: number): Promise<void>
}
