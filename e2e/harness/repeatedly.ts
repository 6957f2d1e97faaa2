/** Repeats `work` with so many calls at once until `stop`, which waits for the calls that are running. */
export function repeatedly(work: () => Promise<unknown>, atOnce = 1): { stop(): Promise<void> } {
  let stopped = false
  const workers = Array.from({ length: atOnce }, async () => {
    while (!stopped) await work()
  })
  const done = Promise.all(workers)
  // `stop` throws the error.
  done.catch(() => undefined)
  return {
    async stop() {
      stopped = true
      await done
    },
  }
}
