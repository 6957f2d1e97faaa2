export interface AutosaveOptions {
  /** Saves once. Rejects when the save failed. */
  save: () => Promise<void>
  /** ms without a change until a save. */
  delay: number
  /** ms after the first unsaved change, at which a save starts even while the person types. */
  maxDelay: number
  /** ms until a failed save is tried again. */
  retryDelay: number
}

export interface Autosave {
  /** Call it when something has changed. */
  touch(): void
  /** Saves at once what is unsaved. Resolves when all is saved and rejects when the save fails. */
  flush(): Promise<void>
  /** Ends automatic saves. */
  stop(): void
}

/** Debounced saving, one save at a time. A change during a save is saved after it. */
export function createAutosave({ save, delay, maxDelay, retryDelay }: AutosaveOptions): Autosave {
  let timer: ReturnType<typeof setTimeout> | undefined
  let dirtySince: number | undefined
  let running: Promise<void> | undefined
  let stopped = false

  function schedule(ms: number): void {
    clearTimeout(timer)
    if (!stopped) timer = setTimeout(() => void flush().catch(() => {}), ms)
  }

  async function flush(): Promise<void> {
    clearTimeout(timer)
    await running?.catch(() => {})
    // Another flush may have started while this one waited.
    if (running) return flush()
    if (dirtySince === undefined) return
    const since = dirtySince
    dirtySince = undefined
    running = save()
    try {
      await running
    } catch (error) {
      dirtySince = since
      schedule(retryDelay)
      throw error
    } finally {
      running = undefined
    }
    if (dirtySince !== undefined) schedule(delay)
  }

  return {
    touch() {
      const now = Date.now()
      dirtySince ??= now
      if (!running) schedule(Math.max(0, Math.min(delay, dirtySince + maxDelay - now)))
    },
    flush,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
