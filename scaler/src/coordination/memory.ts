import type { Coordination, Shared } from './types.ts'

/** A coordination in memory, for several activators in one process. */
export function createMemoryCoordination(): Coordination {
  const values = new Map<string, Shared>()
  const watchers = new Set<(key: string, value: Shared | undefined) => void>()
  return {
    async update(key, change, { signal }) {
      signal.throwIfAborted()
      const current = values.get(key) as never
      const next = change(current)
      if (next === current) return next
      if (next) values.set(key, next)
      else values.delete(key)
      for (const watcher of [...watchers]) watcher(key, next)
      return next
    },
    async watch(onChange) {
      watchers.add(onChange)
      for (const [key, value] of values) onChange(key, value)
      return {
        async [Symbol.asyncDispose]() {
          watchers.delete(onChange)
        },
      }
    },
  }
}
