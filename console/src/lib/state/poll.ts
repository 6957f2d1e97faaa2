/** Calls `run` every `interval()` ms while the page is visible, and when it becomes visible again. Returns a function that stops it. */
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
