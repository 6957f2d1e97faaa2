/** Calls `run` whenever the page is looked at again and every `interval()` ms while it is looked at. Returns how to stop. */
export function poll(run: () => Promise<void>, interval: () => number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let running = false
  let stopped = false

  async function go(): Promise<void> {
    clearTimeout(timer)
    if (running || stopped) return
    running = true
    try {
      await run()
    } finally {
      running = false
      if (!stopped && !document.hidden) timer = setTimeout(go, interval())
    }
  }
  const onLook = (): void => {
    if (!document.hidden) void go()
  }

  document.addEventListener('visibilitychange', onLook)
  window.addEventListener('focus', onLook)
  timer = setTimeout(go, interval())
  return () => {
    stopped = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', onLook)
    window.removeEventListener('focus', onLook)
  }
}
