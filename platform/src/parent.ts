/** How often it is looked, ms. */
const INTERVAL = 500

/** The process with which this one ends, by the argument `--parent=<pid>`: npm, where `npm start` has started it. */
export function parentOf(args: readonly string[]): number | undefined {
  const given = args.map((arg) => /^--parent=(\d+)$/.exec(arg)?.[1]).find((pid) => pid !== undefined)
  return given === undefined ? undefined : Number(given)
}

/**
 * Calls `gone` once the given process is not this one's parent any more: it has ended, by whatever signal, and the kernel
 * has given this process another parent. Nothing else tells a program of that: no signal is sent, and the terminal or the
 * log behind standard output may outlive npm.
 */
export function watchParent(pid: number, gone: () => void, currentParent = () => process.ppid): void {
  const timer = setInterval(() => {
    if (currentParent() === pid) return
    clearInterval(timer)
    gone()
  }, INTERVAL).unref()
}
