/** Does something again and again, by so many at once, until it is told to stop; `stop` waits for what is under way. */
export function repeatedly(work: () => Promise<unknown>, atOnce = 1): { stop(): Promise<void> } {
  let stopped = false
  const workers = Array.from({ length: atOnce }, async () => {
    while (!stopped) await work()
  })
  const done = Promise.all(workers)
  // It is told to whoever stops it.
  done.catch(() => undefined)
  return {
    async stop() {
      stopped = true
      await done
    },
  }
}
