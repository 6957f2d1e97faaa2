/** How often the parent is checked, in ms. */
const INTERVAL = 500

/** The process whose end ends this one, from the argument `--parent=<pid>`: npm, if `npm start` has started it. */
export function parentOf(args: readonly string[]): number | undefined {
  const given = args.map((arg) => /^--parent=(\d+)$/.exec(arg)?.[1]).find((pid) => pid !== undefined)
  return given === undefined ? undefined : Number(given)
}

/**
 * Calls `gone` once the given process is no longer this one's parent: the parent has ended, by any signal, and the kernel has
 * given this process another one. Nothing else reports that: no signal is sent, and the terminal or the log behind standard
 * output may outlive npm.
 */
export function watchParent(pid: number, gone: () => void, currentParent = () => process.ppid): void {
  const timer = setInterval(() => {
    if (currentParent() === pid) return
    clearInterval(timer)
    gone()
  }, INTERVAL).unref()
}
